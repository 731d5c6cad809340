"""What an export and its child processes say to each other, over pipes: a length, then MessagePack."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from ...transports.network import Described
from ..slices.slice import Position, Slice
from .entries import Begun, Unit

MAGIC = b"m3ter-async-child-1\n"  # what a child begins with, behind whatever else was written there
LENGTH = 4  # bytes


class Start(msgspec.Struct, frozen=True):
    """What a child works for, its first message; it holds no key, secret or token.

    Attributes:
        begun: What is exported.
        network: The way to the service.
    """

    begun: Begun
    network: Described


class Fetch(msgspec.Struct, frozen=True, tag="fetch"):
    """Send a request for a page; its records stay in the child.

    Attributes:
        desk: For whom.
        page: What kind of pages the listing has, as `Operation.page`.
    """

    desk: int
    page: str
    method: str
    url: str
    headers: dict[str, str]
    timeout: float
    max_bytes: int

    def __repr__(self) -> str:
        return f"Fetch({self.method})"  # the headers have a token


class Clear(msgspec.Struct, frozen=True, tag="clear"):
    """Drop the pages of a desk."""

    desk: int


class Open(msgspec.Struct, frozen=True, tag="open"):
    """Begin a part.

    Attributes:
        part: What it goes by between both processes.
        number: Its number in the export.
        mark: What its files end with behind the number.
        most: As of `OpenPart`.
        drafts: Where its files are written, by their names.
    """

    part: int
    resource: str
    number: int
    mark: str
    most: int | None
    drafts: Mapping[str, str]


class Add(msgspec.Struct, frozen=True, tag="add"):
    """Put records of a fetched page into a part.

    Attributes:
        records: What stands for them.
        position: Where the slice stands after them.
    """

    part: int
    desk: int
    slice: Slice
    records: Sequence[bytes]
    parent: str | None
    position: Position | None


class PassOver(msgspec.Struct, frozen=True, tag="pass_over"):
    """Note in a part what is not read."""

    part: int
    slice: Slice
    after: Position | None
    unit: Unit | None
    gone: str | None


class Convert(msgspec.Struct, frozen=True, tag="convert"):
    """Write what a part has waiting, if that is enough."""

    part: int


class Seal(msgspec.Struct, frozen=True, tag="seal"):
    """Finish the files of a part."""

    part: int
    headers: Sequence[str]


class Discard(msgspec.Struct, frozen=True, tag="discard"):
    """Close the files of a part, and forget it."""

    part: int


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Nobody waits for the answer to a call any more."""

    call: int


Order: TypeAlias = Fetch | Clear | Open | Add | PassOver | Convert | Seal | Discard | Cancel


class Call(msgspec.Struct, frozen=True):
    """An order with the number of its answer."""

    number: int
    order: Order


class Fault(msgspec.Struct, frozen=True):
    """Why an order was not carried out.

    Attributes:
        kind: ``disk``, ``wire`` or ``other``.
        reason: In words.
        errno: Of the disk.
        where: The file.
        wire: The rest of a `TransportError`.
    """

    kind: str
    reason: str
    errno: int | None = None
    where: str | None = None
    wire: Mapping[str, bool | int | None] = {}


class Reply(msgspec.Struct, frozen=True):
    """The answer to a call: a value, or a fault."""

    number: int
    value: msgspec.Raw = msgspec.Raw(b"\xc0")
    fault: Fault | None = None


class Answer(msgspec.Struct, frozen=True):
    """What the service answered to a `Fetch`.

    Attributes:
        content: The body; where records are kept in the child, a page of what stands for them.
        size: How many bytes the body had.
    """

    status: int
    headers: dict[str, str]
    content: bytes
    size: int


class State(msgspec.Struct, frozen=True):
    """How a part is.

    Attributes:
        size: Bytes of the records that were added last.
        records: That were taken into it.
        sound: As `OpenPart.sound`.
        full: As `OpenPart.full`.
        ripe: As `OpenPart.ripe`.
    """

    size: int
    records: int
    sound: bool
    full: bool
    ripe: bool


encode: Callable[[object], bytes] = msgspec.msgpack.Encoder().encode


def framed(message: object) -> bytes:
    """A message as it goes over a pipe."""
    content = encode(message)
    return len(content).to_bytes(LENGTH, "big") + content
