"""What an export can end with that is not the service's doing."""

from __future__ import annotations

from ..errors import M3terError


class ExportError(M3terError):
    """An export that stopped: a full disk, a store that failed, a folder that was changed meanwhile.

    What was finished before is kept.

    Attributes:
        resumable: Whether ``resume=True`` may well go on from there; not where it would only fail in the same place.
    """

    def __init__(self, reason: str, *, resumable: bool = True) -> None:
        super().__init__(reason)
        self.resumable: bool = resumable
