"""Pages that were fetched by a child process: their records wait there, and elsewhere a small stub stands for each.

A stub has the name by which its record is found again, and as much of it as is decided by elsewhere.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ..._core.decoding import Unreadable
from ..._paging.page_splitting import split
from ..errors import ExportError
from ..slices.record_id import id_of


class _Dated(msgspec.Struct, rename="camel"):
    bill_date: Raw | UnsetType = UNSET


class _Stub(msgspec.Struct, rename="camel", omit_defaults=True):
    name: str
    id: str | UnsetType = UNSET
    bill_date: Raw | UnsetType = UNSET


class _Page(msgspec.Struct, rename="camel"):
    data: list[_Stub]
    next_token: str | None


class _Reference(msgspec.Struct):
    name: str


_dated = msgspec.json.Decoder(_Dated)
_reference = msgspec.json.Decoder(_Reference)
_encode = msgspec.json.Encoder().encode


class KeptPages:
    """The pages of one reader, in the order in which they were fetched."""

    def __init__(self) -> None:
        self._pages: list[dict[str, bytes]] = []
        self._number = 0

    def keep(self, content: bytes | bytearray, page: str) -> bytes:
        """Keep the records of a page, and give the page with stubs in place of them.

        Args:
            page: What kind of page it is, as `Operation.page`.

        Returns:
            `content` itself where it cannot be split: whoever gets it finds out what is wrong.
        """
        try:
            found, token = split(content, either=page == "either")
        except Unreadable:
            return bytes(content)
        whole = isinstance(found, UnsetType)
        records = [bytes(content)] if isinstance(found, UnsetType) else [bytes(each) for each in found]
        stubs = list(map(_by_content, records)) if page == "offset" else self._numbered(records)
        self._pages.append({stub.name: record for stub, record in zip(stubs, records, strict=True)})
        return _encode(stubs[0]) if whole else _encode(_Page(stubs, token))

    def _numbered(self, records: list[bytes]) -> list[_Stub]:
        self._number += 1
        stubs = [_Stub(f"{self._number}.{place}", _name(record)) for place, record in enumerate(records)]
        for place in {0, len(records) - 1} if records else ():  # by whose dates the rest is shared out
            stubs[place].bill_date = _date(records[place])
        return stubs

    def take(self, stubs: list[bytes]) -> list[bytes]:
        """The records that some stubs of one page stand for; it and those before it are dropped."""
        if not stubs:
            return []
        names = [_reference.decode(each).name for each in stubs]
        for number, page in enumerate(self._pages):
            if all(each in page for each in names):
                del self._pages[: number + 1]
                return [page[each] for each in names]
        raise ExportError("a page is not there any more; this is a bug, resume")


def _by_content(record: bytes) -> _Stub:
    """A stub for a listing by offset, in which records are told apart, and pages that come twice."""
    return _Stub(blake2b(record, digest_size=16).hexdigest(), _name(record))


def _name(record: bytes) -> str | UnsetType:
    found = id_of(record)
    return UNSET if found is None else found.decode(errors="replace")


def _date(record: bytes) -> Raw | UnsetType:
    try:
        return _dated.decode(record).bill_date
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # nothing to guess from, here as elsewhere
        return UNSET
