"""Where a sync stands, apart from the records that are known: a few hundred bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import msgspec

from .errors import SyncError

VERSION = 1


class First(msgspec.Struct, frozen=True, array_like=True):
    """How far a first sync of bills is.

    Attributes:
        day: From which its ranges of days are counted.
        since: When it began, in the service's time.
        done: The ranges that are stored.
    """

    day: date
    since: datetime
    done: Sequence[str] = ()


class Bookmark(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a sync stands.

    Attributes:
        v: The version of this form.
        org: The organization; empty before the first change.
        resource: What is read.
        where: The arguments that it is read with.
        since: When the last complete sync began, in the service's time.
        full: When the last complete look at everything began, in the service's time.
        locks: A digest of what decides which bills are locked, as it was when the last complete sync began.
        first: How far a first sync is that is not complete yet, or None.
    """

    v: int = 0
    org: str = ""
    resource: str = ""
    where: Mapping[str, str] = {}
    since: datetime | None = None
    full: datetime | None = None
    locks: str | None = None
    first: First | None = None

    def encode(self) -> bytes:
        """As bytes; they are JSON."""
        return msgspec.json.encode(msgspec.structs.replace(self, v=VERSION))


_version = msgspec.json.Decoder(dict[str, msgspec.Raw])
_bookmark = msgspec.json.Decoder(Bookmark)


def read_bookmark(data: bytes) -> Bookmark:
    """The bookmark that was encoded so.

    Raises:
        SyncError: It is none, or of a later version.
    """
    try:
        found = _version.decode(data).get("v", msgspec.Raw(b"0"))
        if (version := msgspec.json.decode(found, type=int)) != VERSION:
            raise SyncError(f"this mark is of version {version}; this release of m3ter-async reads version {VERSION}")
        return _bookmark.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError):
        raise SyncError("this is no mark of a sync, or it is damaged: begin anew with Known()") from None
