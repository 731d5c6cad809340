"""What a sync can end with that is not the service's doing."""

from __future__ import annotations

from ..errors import M3terError


class SyncError(M3terError):
    """A sync that cannot begin or go on: a mark of another organization, a destination that is in use.

    Nothing was written by the step that raised it.
    """
