"""Reading records into structs that know every field: what the models do not name is kept too.

The structs refuse a field that they do not know. Then the field is added to them and the records are read again, so
that a record without such fields, which is nearly every one, is read as fast as if nobody looked for them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from msgspec import Raw

from .fitting import Misfit, Unfit, shown

_UNKNOWN = re.compile(
    r"Object contains unknown field `(.*)` - at `\$([^`]*)`|Object contains unknown field `(.*)`", re.S
)
_NO_NAME = re.compile(r'["\\\x00-\x1f]')  # what no field of a struct can be called
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_ABSENT = Raw(b"")
# Unknown fields of one struct that are learned: names without end are no fields but data.
_MOST = 200


@dataclass(frozen=True)
class Member:
    """A field of a struct to read into.

    Attributes:
        name: In the struct.
        wire: In the JSON.
        read: What its values are read as, unless there is an `inner`.
        default: What stands for a value that is not there.
        inner: The struct that its value is, or that the items of its value are.
        many: Whether it is a list of those.
    """

    name: str
    wire: str
    read: Any = None
    default: Any = None
    inner: Shape | None = None
    many: bool = False


class Shape:
    """A struct to read into, made anew whenever it learns of a field.

    Args:
        title: How to name it, for counting its unknown fields.
        members: What it knows from the start.
        lean: Whether the struct has none of them before it is known to come; then they are in the order in which they
            were seen first, which is the order in which they are found fastest.
    """

    def __init__(self, title: str, members: Sequence[Member], *, lean: bool = False) -> None:
        self.title = title
        self._members = [] if lean else [*members]
        self._waiting = {member.wire: member for member in members} if lean else {}
        self._inner = {member.wire: member.inner for member in members if member.inner is not None}
        self._learned: dict[str, str] = {}

    def struct(self) -> type[Any]:
        """The struct as of now."""
        fields: list[tuple[str, Any, Any]] = []
        for member in self._members:
            read = member.read
            if member.inner is not None:
                inner = member.inner.struct()
                read = list[inner] | None if member.many else inner | None  # type: ignore[valid-type]
            fields.append((member.name, read, msgspec.field(default=member.default, name=member.wire)))
        fields += [(name, Raw, msgspec.field(default=_ABSENT, name=wire)) for wire, name in self._learned.items()]
        return msgspec.defstruct(f"{self.title}Row", fields, frozen=True, gc=False, forbid_unknown_fields=True)

    def learn(self, path: str, name: str) -> bool:
        """Take a field along that stands at a path of the JSON; False where it cannot be."""
        shape = self
        for step in re.findall(r"\.([^.\[]+)", path):
            inner = shape._inner.get(step)
            if inner is None:
                return False
            shape = inner
        if shape._awake(name):
            return True
        if name in shape._learned or _NO_NAME.search(name) or len(shape._learned) >= _MOST:
            return False
        shape._learned[name] = f"unknown_field_{len(shape._learned)}"
        return True

    def expect(self, value: object) -> None:
        """Expect the fields of a decoded value."""
        for each in cast("list[object]", value) if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                for name, inner in cast("dict[str, object]", each).items():
                    self._awake(name)
                    if name in self._inner:
                        self._inner[name].expect(inner)

    def _awake(self, wire: str) -> bool:
        member = self._waiting.pop(wire, None)
        if member is not None:
            self._members.append(member)
        return member is not None

    def extras(self, rows: Sequence[Any]) -> list[str | None]:
        """The fields of each row that the models do not name, as a JSON object; None where there are none.

        Raises:
            Unfit: One of them is no UTF-8.
        """
        if not self._learned:
            return [None] * len(rows)
        keys = [(msgspec.json.encode(wire) + b":", name) for wire, name in self._learned.items()]
        return [None if row is None else _extra(self.title, row, keys) for row in rows]

    def count(self, rows: Sequence[Any], counter: Counter[str]) -> None:
        """Count the unknown fields of some rows and of what lies in them, by the title and the field."""
        for wire, name in self._learned.items():
            if found := sum(1 for row in rows if row is not None and bytes(getattr(row, name))):
                counter[f"{self.title}.{wire}"] += found
        for member in self._members:
            if member.inner is not None and member.inner.knows_more:
                values = [getattr(row, member.name) for row in rows if row is not None]
                inner = [item for value in values for item in value or ()] if member.many else values
                member.inner.count(inner, counter)

    @property
    def names(self) -> list[str]:
        """The fields of the struct in order, but for those that it learned of."""
        return [member.name for member in self._members]

    @property
    def knows_more(self) -> bool:
        """Whether it, or a struct in it, has learned of a field."""
        return bool(self._learned) or any(inner.knows_more for inner in self._inner.values())


def _extra(title: str, row: Any, keys: Sequence[tuple[bytes, str]]) -> str | None:
    parts = [key + value for key, name in keys if (value := bytes(getattr(row, name)))]
    try:
        return (b"{" + b",".join(parts) + b"}").decode() if parts else None
    except UnicodeDecodeError as error:
        raise Unfit(title, f"{shown(error.object)} is no UTF-8") from None


class Reader:
    """Reads records into a shape.

    Args:
        shape: May be of several readers.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(shape.struct())

    @property
    def decode(self) -> Callable[[bytes], Any]:
        """Reads one record by what the shape knows as of now."""
        return self._decoder.decode

    def read(self, records: Sequence[bytes]) -> tuple[list[Any], list[int], list[Misfit]]:
        """The rows of those records that can be read, the places of these, and the others."""
        while True:
            rows, places, misfits = self._read(records)
            lessons = [each for each in misfits if self.learn(each.why)]
            if not lessons:
                return rows, places, [_located(each) for each in misfits]

    def _read(self, records: Sequence[bytes]) -> tuple[list[Any], list[int], list[Misfit]]:
        decode = self._decoder.decode
        try:
            return [decode(record) for record in records], list(range(len(records))), []
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        rows: list[Any] = []
        places: list[int] = []
        misfits: list[Misfit] = []
        for place, record in enumerate(records):
            try:
                rows.append(decode(record))
                places.append(place)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                misfits.append(Misfit(place, "", str(error) or "nested too deeply"))
        return rows, places, misfits

    def learn(self, why: str) -> bool:
        """Whether the field that an error is about, by its text, can be read from now on."""
        found = _UNKNOWN.fullmatch(why)
        if found is None or not self.shape.learn(found[2] or "", found[1] if found[3] is None else found[3]):
            return False
        self._decoder = msgspec.json.Decoder(self.shape.struct())
        return True


def _located(misfit: Misfit) -> Misfit:
    """The same with the path that the decoder names."""
    found = _PATH.search(misfit.why)
    if found is None:
        return misfit
    return Misfit(misfit.place, found[1], misfit.why[: found.start()])


def unknown_fields(shape: Shape, rows: Sequence[Any]) -> Iterator[tuple[str, int]]:
    """How often each field came that the models do not name."""
    if shape.knows_more:
        counter: Counter[str] = Counter()
        shape.count(rows, counter)
        yield from counter.items()
