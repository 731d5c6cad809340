"""A page taken apart into its records, whatever is in their texts and numbers."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .._core.decoding import Unreadable, decode


class _Envelope(msgspec.Struct, rename="camel"):
    data: list[Raw]
    next_token: str | None = None


class _EitherEnvelope(msgspec.Struct, rename="camel"):
    data: list[Raw] | UnsetType = UNSET
    next_token: str | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_either_envelope = msgspec.json.Decoder(_EitherEnvelope)
_next_token = msgspec.json.Decoder(str | None)

_SPACE = re.compile(rb"[ \t\n\r]*+")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb'[^ \t\n\r"\[\]{},:]++')
_UP_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_CLOSING = {ord("["): ord("]"), ord("{"): ord("}")}


def split(body: bytes | bytearray, *, either: bool = False) -> tuple[list[Raw] | UnsetType, str | None]:
    """The records of a page, each as its JSON, and its ``nextToken``.

    Args:
        body: The page.
        either: Whether `body` may also be one record itself, which has no ``data``; then that is `UNSET`.

    Raises:
        Unreadable: It is not a page.
    """
    decoder: msgspec.json.Decoder[Any] = _either_envelope if either else _envelope
    try:
        page: _Envelope | _EitherEnvelope = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # one text or number that msgspec refuses, perhaps: that is a matter of its record alone
        if not isinstance(error, msgspec.ValidationError):
            with suppress(Unreadable):
                return _Scanner(body).page(either)
        page = decode(decoder, body)  # raises, and says where
    return page.data, page.next_token


class _Scanner:
    """Finds where each record ends by brackets and quotes alone; one step over all that is between two brackets."""

    def __init__(self, body: bytes | bytearray) -> None:
        self._body = body
        self._at = 0

    def page(self, either: bool) -> tuple[list[Raw] | UnsetType, str | None]:
        data: list[Raw] | UnsetType = UNSET
        token: str | None = None
        self._space()
        self._expect(b"{")
        while self._more(b"}"):
            key = self._string()
            self._space()
            self._expect(b":")
            self._space()
            if key == "data":
                data = self._records()
                continue
            value = self._value()
            if key == "nextToken":
                token = decode(_next_token, value)
        self._space()
        if self._at != len(self._body) or (data is UNSET and not either):
            self._fail()
        return data, token

    def _records(self) -> list[Raw]:
        self._expect(b"[")
        records: list[Raw] = []
        while self._more(b"]"):
            records.append(Raw(self._value()))
        return records

    def _more(self, closing: bytes) -> bool:
        """Whether another item begins here; steps over what stands between two, or over the end."""
        opened = self._body[self._at - 1] in b"[{"
        self._space()
        if self._body.startswith(closing, self._at):
            self._at += 1
            return False
        if not opened:
            self._expect(b",")
            self._space()
        return True

    def _string(self) -> str | None:
        start, self._at = self._at, self._end(_STRING)
        try:
            return msgspec.json.decode(self._body[start : self._at], type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # whatever it says, it is none of the names that are looked for

    def _value(self) -> bytes:
        """The JSON of one value, which is stepped over."""
        body, start = self._body, self._at
        if start >= len(body):
            self._fail()
        if body[start] in _CLOSING:
            self._step_over_brackets()
        else:
            self._at = self._end(_STRING if body[start] == ord('"') else _SCALAR)
        return bytes(body[start : self._at])

    def _step_over_brackets(self) -> None:
        body, at = self._body, self._at
        wanted = bytearray()
        while True:
            if closing := _CLOSING.get(body[at]):
                wanted.append(closing)
            elif wanted.pop() != body[at]:
                self._fail()
            at += 1
            if not wanted:
                self._at = at
                return
            found = _UP_TO_BRACKET.match(body, at)
            at = found.end() if found else at
            if at >= len(body):
                self._fail()

    def _end(self, pattern: re.Pattern[bytes]) -> int:
        found = pattern.match(self._body, self._at)
        return found.end() if found else self._fail()

    def _space(self) -> None:
        self._at = self._end(_SPACE)

    def _expect(self, what: bytes) -> None:
        if not self._body.startswith(what, self._at):
            self._fail()
        self._at += 1

    def _fail(self) -> NoReturn:
        raise Unreadable(f"not JSON (byte {self._at})", passing=True)
