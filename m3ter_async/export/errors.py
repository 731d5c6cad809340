"""What an export can end with that is not the service's doing."""

from __future__ import annotations

from ..errors import M3terError


class ExportError(M3terError):
    """An export that stopped: a full disk, an amount out of range, an id that came twice, a folder changed meanwhile.

    What was finished before is kept, and ``resume=True`` goes on from there unless the text says otherwise.
    """
