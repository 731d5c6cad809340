"""Which place an argument means."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from .local import LocalPlace
from .place import Place

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:)/")  # of two letters at least: Windows has drives of one


def place_of(out: str | os.PathLike[Any]) -> Place:
    """The place that is meant.

    Raises:
        ValueError: It is none that can be written to. It is not shown, since a URL may hold a password.
    """
    return LocalPlace(local_folder(out))


def local_folder(out: str | os.PathLike[Any]) -> Path:
    """The folder that is meant, as it was written.

    Raises:
        ValueError: It is none of this machine. It is not shown, since a URL may hold a password.
    """
    text = os.fspath(out)
    if not isinstance(text, str):
        raise ValueError(f"out must be a str or a path of one, not {type(text).__name__}")
    if not text.strip():
        raise ValueError("out names no folder: it is empty")
    if "\0" in text:
        raise ValueError("out names no folder: it holds a null character")
    if scheme := _SCHEME.match(text):
        raise ValueError(
            f"out begins with {scheme[1]}, and must be a folder of this machine: write to one and copy it from there"
        )
    if text.startswith("~"):
        raise ValueError("out begins with ~, which only a shell expands: write the folder out")
    return Path(text)
