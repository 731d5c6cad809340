"""Reading a record, changing it and writing it back; and what became of a write whose answer was lost."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import msgspec
from msgspec import UNSET, Raw

from .._core.decoding import Unreadable, decode, decoder
from .._core.encoding import encode_body
from .._core.operation import Operation
from ..errors import APIError, ConflictError
from ..models._base import dt
from ..transports.protocol import Response

if TYPE_CHECKING:
    from .._core.pipeline import Pipeline

T = TypeVar("T")

Changes: TypeAlias = Mapping[str, Any] | None
Change: TypeAlias = Callable[[T], Changes | Awaitable[Changes]]
"""What `edit` takes: gets what is stored and returns arguments of `update`, at once or awaited."""

_NOTHING: Mapping[str, Any] = {}
# What the service sets by itself, in every record.
_BY_THE_SERVICE = frozenset(("id", "version", "dtCreated", "dtLastModified", "createdBy", "lastModifiedBy"))

_fields = decoder(dict[str, Raw])
_anything = decoder(dict[str, Any])


class Fields:
    """The fields of an update's body, as the generator prints them: ``name credentials:anew from_=from``.

    After a colon stands ``anew`` where the field has to be given with every change: what is read of it must not be
    written back.

    Args:
        text: The fields.
        read_only: Names, on the wire, of what an answer has and no update takes: the service sets it.
    """

    def __init__(self, text: str, read_only: str = "") -> None:
        self._text = text
        self._read_only = read_only

    @cached_property
    def _known(self) -> dict[str, tuple[str, str]]:
        """Name on the wire and kind, by name in Python."""
        found: dict[str, tuple[str, str]] = {}
        for entry in self._text.split():
            field, _, kind = entry.partition(":")
            name, _, wire = field.partition("=")
            found[name] = (wire or camel(name), kind)
        return found

    @cached_property
    def _kept_out(self) -> frozenset[str]:
        """What of a record is not written back as it was read."""
        return (
            _BY_THE_SERVICE
            | {*self._read_only.split()}
            | {wire for wire, kind in self._known.values() if kind == "anew"}
        )

    def merge(self, stored: Mapping[str, Raw], changes: Mapping[str, Any]) -> dict[str, Any]:
        """The body of the update: what is stored, byte for byte, with `changes` in it.

        A field that neither the update nor the answer of the contract knows is written back as well: the service may
        be newer, and what a PUT leaves out is lost.

        Raises:
            TypeError: A change names no field, or a field that has to be given is missing.
        """
        known = self._known
        if "version" in changes:
            raise TypeError("edit() sends the version that it read; leave 'version' out of the changes")
        if unknown := sorted(map(str, set(changes) - set(known))):
            from difflib import get_close_matches  # only where something is misspelled

            near = get_close_matches(unknown[0], known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"edit() got a change of {unknown[0]!r}, which update() does not take{hint}")
        body: dict[str, Any] = {wire: value for wire, value in stored.items() if wire not in self._kept_out}
        for name, (wire, kind) in known.items():
            if name in changes:
                body[wire] = changes[name]
            elif kind == "anew":
                raise TypeError(f"edit() needs {name!r} among the changes: what is read of it cannot be written back")
        if "version" in stored and (version := _version(stored)) is not None:
            body["version"] = version
        return body


async def edit(
    pipeline: Pipeline,
    read: Operation[T],
    write: Operation[T],
    fields: Fields,
    change: Change[T] | Mapping[str, Any] | None,
    changes: Mapping[str, Any],
    attempts: int,
    path: Mapping[str, str],
) -> T:
    """Read, change, write with the version that was read; all of it again after a conflict.

    Args:
        change: A function of what is stored, or the changes themselves.
        changes: The changes, where there is no `change`.
    """
    if attempts < 1:
        raise ValueError(f"attempts must be 1 or more, not {attempts}")
    if (change is None) == (not changes):
        raise TypeError("edit() takes the changes by name, or as one mapping, or as one function that returns them")
    ends = _ends(pipeline)
    while True:
        model, content = await _read(_until(pipeline, ends), read, path)
        given = _given(await _asked(change, model) if callable(change) else changes if change is None else change)
        if not given:
            return model
        attempts -= 1
        try:
            body = fields.merge(decode(_fields, content), given)
            return await put(_until(pipeline, ends), read, write, path, body)
        except ConflictError as conflict:
            # in doubt, the conflict may be with this very change, written by an attempt before
            if conflict.outcome_unknown or not attempts:
                raise


async def put(
    pipeline: Pipeline,
    read: Operation[T],
    write: Operation[T],
    path: Mapping[str, str],
    body: Mapping[str, Any],
    query: Mapping[str, Any] = _NOTHING,
) -> T:
    """Replace a record; where its answer was lost and the repeat meets a conflict, look whether it took effect.

    The version that a repeat sends is no longer the stored one, if the first attempt took effect. Then the record has
    the next version, and holds all that was sent.

    Raises:
        ConflictError: The version is not the stored one. Its `outcome_unknown` is True where an attempt before may have
            taken effect and the record does not show that it did.
    """
    ends = _ends(pipeline)
    try:
        return await pipeline.call(write, path, query, body)
    except ConflictError as conflict:
        if not conflict.outcome_unknown:
            raise
        lost = conflict
    try:
        model, content = await _read(_until(pipeline, ends), read, path)
        stored, sent = decode(_anything, content), decode(_anything, encode_body(body, write.arguments))
    except (APIError, Unreadable):
        raise lost from None
    version = sent.pop("version", None)
    if isinstance(version, int) and stored.get("version") == version + 1 and _holds(stored, sent):
        return model
    raise lost


def _ends(pipeline: Pipeline) -> float:
    """When a call that begins now has to be over, in monotonic seconds: all requests of it together."""
    return pipeline.clock.now() + pipeline.settings.total


def _until(pipeline: Pipeline, ends: float) -> Pipeline:
    """A view whose calls are over by then."""
    if ends == math.inf:
        return pipeline
    return pipeline.view(replace(pipeline.settings, total_timeout=ends - pipeline.clock.now()))


async def _read(pipeline: Pipeline, read: Operation[T], path: Mapping[str, str]) -> tuple[T, bytes]:
    """A record, and its JSON: that has what the model does not know, and must not be lost."""

    def both(response: Response) -> tuple[T, bytes]:
        decode(_fields, response.content)
        return decode(read.decoder, response.content), bytes(response.content)

    return await pipeline.run(pipeline.prepare(read, path, _NOTHING), both)


async def _asked(change: Change[T], model: T) -> Changes:
    changes = change(model)
    return await changes if isawaitable(changes) else changes


def _given(changes: object) -> dict[str, Any]:
    if changes is not None and not isinstance(changes, Mapping):
        raise TypeError(f"a change must be a mapping or None, not {type(changes).__name__}")
    found = cast("Mapping[str, Any]", changes or _NOTHING)
    return {name: value for name, value in found.items() if value is not UNSET}


def _version(stored: Mapping[str, Raw]) -> int | None:
    return msgspec.json.decode(stored["version"], type=int | None)


def _holds(stored: Any, sent: Any) -> bool:
    """Whether what was sent is in what is stored; the service may add to it, and write moments in another way."""
    if isinstance(sent, dict):
        fields = cast("dict[str, Any]", sent).items()
        within = cast("dict[str, Any]", stored) if isinstance(stored, dict) else {}
        return (isinstance(stored, dict) or not sent) and all(_holds(within.get(name), item) for name, item in fields)
    if isinstance(sent, list):
        items = cast("list[object]", sent)
        found = cast("list[object]", stored) if isinstance(stored, list) else []
        return len(items) == len(found) and all(map(_holds, found, items))
    if isinstance(sent, (bool, type(None))) or isinstance(stored, bool):
        return stored is sent
    if isinstance(sent, (int, Decimal)):
        return bool(stored == sent)
    if stored == sent:
        return True
    return isinstance(stored, str) and _moment(sent) is not None and _moment(stored) == _moment(sent)


def _moment(text: Any) -> datetime | None:
    """What a text says, if it is a moment; a day is its first."""
    try:
        moment = msgspec.convert(f"{text}T00:00:00Z" if len(text) == 10 else text, dt.datetime)
    except msgspec.ValidationError:
        return None
    return moment if moment.tzinfo else None


def camel(name: str) -> str:
    """A Python name as it is on the wire."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
