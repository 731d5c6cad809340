"""Which place an argument means."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from .local import LocalPlace
from .place import Place
from .store import StorePlace

_STORES = ("s3", "gs", "az")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_SEGMENT = re.compile(r"(?!\.{1,2}$)[\w .=+,:@()!&$'-]+")  # what all stores and tools take as it is
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:)/")  # of two letters at least: Windows has drives of one


def place_of(out: str | os.PathLike[Any] | StorePlace) -> Place:
    """The place that is meant.

    Raises:
        ValueError: It is none that can be written to. It is not shown, since a URL may hold a password.
    """
    if isinstance(out, StorePlace):  # with a bucket of its maker's own
        return out
    text = os.fspath(out)
    if isinstance(text, str) and (scheme := text.partition("://")[0].lower()) in _STORES and "://" in text:
        return _store(scheme, text.partition("://")[2])
    return LocalPlace(local_folder(out))


def _store(scheme: str, rest: str) -> StorePlace:
    """A prefix of an object store.

    Raises:
        ValueError: There is no such bucket or prefix.
        ImportError: obstore is not installed.
        StoreError: An option in the environment cannot be used.
    """
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.removesuffix("/")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(
            f"out names no bucket behind {scheme}://; credentials and options belong into the environment, not there"
        )
    if prefix and not all(map(_SEGMENT.fullmatch, prefix.split("/"))):
        raise ValueError(f"out has a prefix behind {scheme}:// that cannot be used: take letters, digits and -_.=")
    from .obstore_bucket import ObstoreBucket

    url = "/".join(filter(None, (f"{scheme}://{bucket}", prefix)))
    return StorePlace(url, prefix, ObstoreBucket(scheme, bucket, prefix))


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
        if scheme[1].lower().removesuffix(":") in _STORES:
            raise ValueError(f"out begins with {scheme[1]}/: a store is written as {scheme[1].lower()}//, in a str")
        raise ValueError(
            f"out begins with {scheme[1]}, and must be a folder of this machine, or begin with s3://, gs:// or az://"
        )
    if text.startswith("~"):
        raise ValueError("out begins with ~, which only a shell expands: write the folder out")
    return Path(text)
