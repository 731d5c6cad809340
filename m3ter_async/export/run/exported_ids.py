"""The ids of what was exported: counted at the end, each of them once.

Of each id a digest is kept on disk, beside the parts, until the export is finished: so that the check needs no more
memory for more records.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from shutil import rmtree

import msgspec

from ..errors import ExportError
from ..slices.slice import SlicePage

FOLDER = ".ids"
_SIZE = 16  # bytes of a digest
_AT_ONCE = 200_000  # ids whose digests are held in memory together
# The id stands first in most records, at the most behind that of the parent: then nothing of the rest has to be read.
_FIRST = re.compile(rb'\{(?:"\w+":"[^"\\]*",)?"id":"([^"\\]+)"')


class _Identified(msgspec.Struct):
    id: str | int | None = None


_decoder = msgspec.json.Decoder(_Identified)


class Ids:
    """The ids of one part.

    Args:
        record: The type of its records; those without an id are not told apart.
    """

    def __init__(self, record: type[object]) -> None:
        self._identified = "id" in getattr(record, "__struct_encode_fields__", ())
        self._digests = bytearray()

    def add(self, page: SlicePage) -> None:
        """Take the ids of a page, those of different parents apart.

        Raises:
            ExportError: A record has an id that is none.
        """
        if not self._identified:
            return
        parent = (page.parent or "").encode() + b"\0"
        for record in page.records:
            found = _FIRST.match(record)
            name = found[1] if found else _slowly(record)
            if name is not None:
                self._digests += blake2b(parent + name, digest_size=_SIZE).digest()

    def save(self, out: Path, resource: str, number: int) -> Path:
        """Write them where `check` finds them."""
        path = _path(out, resource, number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self._digests)
        return path


def check(out: Path, resource: str, parts: Iterable[int]) -> int:
    """Count the ids of all parts of a resource. Blocking.

    Raises:
        ExportError: One is there more than once.
    """
    scratch = out / FOLDER / "sorted"
    rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    sizes = {number: _path(out, resource, number).stat().st_size // _SIZE for number in parts}
    groups = min(sum(sizes.values()) // _AT_ONCE + 1, 256)
    for number in sizes:
        digests = _path(out, resource, number).read_bytes()
        sorted_in: list[bytearray] = [bytearray() for _ in range(groups)]
        for start in range(0, len(digests), _SIZE):
            sorted_in[digests[start] % groups] += digests[start : start + _SIZE]
        for group, found in enumerate(sorted_in):
            with (scratch / str(group)).open("ab") as file:
                file.write(found)
    count = unique = 0
    for group in range(groups):
        path = scratch / str(group)
        digests = path.read_bytes() if path.exists() else b""
        count += len(digests) // _SIZE
        unique += len({digests[start : start + _SIZE] for start in range(0, len(digests), _SIZE)})
    rmtree(scratch)
    if unique != count:
        raise ExportError(
            f"{count - unique} of {count} ids of {resource} came more than once, perhaps because records changed while "
            "they were read: export anew with overwrite",
            resumable=False,
        )
    return count


def forget(out: Path) -> None:
    """Remove what is kept of them; it is of no more use. Blocking."""
    rmtree(out / FOLDER, ignore_errors=True)


def _slowly(record: bytes) -> bytes | None:
    try:
        name = _decoder.decode(record).id
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExportError(
            f"a record has no id that can be read: {error} (in {record[:80]!r}...)", resumable=False
        ) from None
    return None if name is None else str(name).encode()


def _path(out: Path, resource: str, number: int) -> Path:
    return out / FOLDER / f"{resource}-{number:05d}"
