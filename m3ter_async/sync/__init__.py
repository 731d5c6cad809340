"""Only what changed: a listing read again and again, so that a destination holds what the service holds.

`changes` gives what is new, changed and gone since the last time; `Known` is what the last time left.
"""

from __future__ import annotations

from .change import Change, SetAside, SyncNote
from .changes import changes
from .errors import SyncError
from .known import Known
from .lake.place import lake_files
from .lake.run import SyncReport, sync_lake

__all__ = ["Change", "Known", "SetAside", "SyncError", "SyncNote", "SyncReport", "changes", "lake_files", "sync_lake"]

for _public in __all__:
    globals()[_public].__module__ = __name__  # users import it from here, wherever it stands
