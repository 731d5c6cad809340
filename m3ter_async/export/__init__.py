"""Every record of a listing into files, in parallel, resumable, each exactly once.

``await export(client, ["bills"], "out")`` is the whole of it. `plan_slices` and `read_slice` are what it is made of,
for those who spread the work over machines of their own.
"""

from __future__ import annotations

from .errors import ExportError
from .report import ExportedFile, ExportProgress, ExportReport, Note, ResourceProgress
from .run.start import export
from .slices.planning import plan_slices
from .slices.slice import Position, Slice, SlicePage, read_slice

__all__ = [
    "ExportError",
    "ExportProgress",
    "ExportReport",
    "ExportedFile",
    "Note",
    "Position",
    "ResourceProgress",
    "Slice",
    "SlicePage",
    "export",
    "plan_slices",
    "read_slice",
]

for _public in set(__all__) - {"ExportError"}:  # which is in the package itself too
    globals()[_public].__module__ = __name__  # users import it from here, wherever it stands
