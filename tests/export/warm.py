"""Imported before there are processes to kill: it loads what a process loads when it first writes a file."""

from __future__ import annotations

from .support import FORMS, written

for _form in FORMS.values():
    with written([b'{"id":"b1","billTotal":1.5,"dtCreated":"2024-01-01T00:00:00Z","billDate":"2024-01-01"}'], _form):
        pass
