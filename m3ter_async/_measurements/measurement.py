"""Measurements on their way out: each is encoded once, and refused where the service could never accept it."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeAlias, cast, get_type_hints

import msgspec
from msgspec import Meta

from .._core.json_values import known
from .._core.moments import instant
from ..errors import MeasurementError
from ..models._base import dt
from ..models.usage import Measurement

Row: TypeAlias = Measurement | Mapping[str, Any]
"""A measurement, or its fields by name."""

MOST_ROWS = 1000  # of one request
MOST_BYTES = 511_999  # of one request's body: the service wants fewer than 512,000
_OPENING, _CLOSING = b'{"measurements":[', b"]}"
ENVELOPE = len(_OPENING) + len(_CLOSING) - 1  # and one byte after each measurement but the last

_Code = Annotated[str, Meta(min_length=1, max_length=80)]
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_Moment = Annotated[dt.datetime, Meta(tz=True)]
_Texts: TypeAlias = dict[str, str]
_Numbers: TypeAlias = dict[str, float]  # what the service reads them into; what is sent keeps all its digits


class _Accepted(msgspec.Struct, gc=False, kw_only=True):
    """What the service accepts: the JSON is read back into it."""

    uid: Annotated[str, Meta(min_length=1, max_length=50)]
    meter: _Code
    account: _Code
    ts: _Moment
    ets: _Moment | None = None
    who: _Texts | None = None
    where: _Texts | None = None
    what: _Texts | None = None
    other: _Texts | None = None
    metadata: _Texts | None = None
    measure: _Numbers | None = None
    cost: _Numbers | None = None
    income: _Numbers | None = None


_encode = msgspec.json.Encoder(decimal_format="number", enc_hook=known).encode
_read_back = msgspec.json.Decoder(_Accepted).decode
_HINTS = get_type_hints(_Accepted, include_extras=True)
_REQUIRED = frozenset(("uid", "meter", "account", "ts"))
_TEXTS = frozenset(("who", "where", "what", "other", "metadata"))
_NUMBERS = frozenset(("measure", "cost", "income"))
_batch = msgspec.json.Decoder(dict[str, list[Measurement]])
# all that encoding and decoding have to say of a value
_BAD = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)


def measurement(row: Row, uid: str) -> Measurement:
    """The row with a `uid`: its own, or else this one.

    Raises:
        MeasurementError: It is neither a measurement nor a mapping, or has a field that no measurement has.
    """
    if isinstance(row, Measurement):
        given = row
    else:
        try:
            fields: dict[str, Any] = {"uid": uid, **row}
            given = Measurement(**fields)
        except TypeError:
            if not isinstance(row, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
                reason = f"a {type(row).__name__} is neither a Measurement nor a mapping of its fields"
                raise MeasurementError("", reason) from None
            unknown = next(name for name in row if name not in _HINTS)
            raise MeasurementError(str(unknown), "a measurement has no such field") from None
    return given if given.uid is not None else msgspec.structs.replace(given, uid=uid)


def encode(measurement: Measurement) -> bytes:
    """The JSON of one measurement.

    Raises:
        MeasurementError: The service could not accept it, not even as the only one of a request.
    """
    given = measurement
    try:
        ts: Any = given.ts
        if type(ts) is not str or given.ets is not None:
            given = _in_utc(given)
        content = _encode(given)
        seen = _read_back(content)
    except _BAD as error:
        raise _explained(given, error) from None
    # bytes, and keys that are no text, become some text in JSON: nobody meant that
    if (
        seen.account != given.account
        or seen.meter != given.meter
        or _misspelt(seen.account)
        or _misspelt(seen.meter)
        or seen.uid != given.uid
        or seen.where != given.where
        or seen.what != given.what
        or seen.who != given.who
        or seen.other != given.other
        or seen.metadata != given.metadata
        or (seen.measure is not None and _other_keys(seen.measure, given.measure))
        or (seen.cost is not None and _other_keys(seen.cost, given.cost))
        or (seen.income is not None and _other_keys(seen.income, given.income))
    ):
        raise _explained(given, ValueError("what would be sent is not what was given"))
    if ENVELOPE + len(content) + 1 > MOST_BYTES:
        raise MeasurementError("", f"{len(content):,} bytes of JSON are too many for one request")
    return content


def _in_utc(given: Measurement) -> Measurement:
    """The measurement with its moments in UTC; one that is in UTC is written as it is."""
    moments = {"ts": given.ts, "ets": given.ets}
    others = {
        name: instant(value)
        for name, value in moments.items()
        if isinstance(value, datetime) and not (type(value) is datetime and value.tzinfo is UTC)
    }
    return msgspec.structs.replace(given, **others) if others else given


def joined(contents: Iterable[bytes]) -> bytes:
    """The body of a request with these measurements."""
    return _OPENING + b",".join(contents) + _CLOSING


def parted(body: bytes) -> list[Measurement]:
    """The measurements in the body of a request."""
    return _batch.decode(body)["measurements"]


def _misspelt(code: str) -> bool:
    """Whether it begins or ends with a space or holds a control character, as no code does."""
    return code[0] == " " or code[-1] == " " or (not code.isprintable() and _CONTROL.search(code) is not None)


def _other_keys(seen: Mapping[str, Any], given: Mapping[str, Any] | None) -> bool:
    return given is None or seen.keys() != given.keys()


def _explained(given: Measurement, error: Exception) -> MeasurementError:
    """The error for what was found to be wrong; it names the field and, within it, the key."""
    for name, kind in _HINTS.items():
        value: Any = getattr(given, name)
        if value is None:
            if name in _REQUIRED:
                return MeasurementError(name, "is missing")
        elif name not in _TEXTS | _NUMBERS:
            if reason := _fault(kind, value):
                return MeasurementError(name, reason)
            if kind is _Code and _misspelt(value):
                return MeasurementError(name, "begins or ends with a space, or holds a control character")
        elif not isinstance(cast("object", value), Mapping):
            return MeasurementError(name, f"a {type(value).__name__} is not a mapping")
        else:
            for key, item in value.items():
                if reason := _fault(str, key) or _fault(str if name in _TEXTS else float, item):
                    return MeasurementError(f"{name}.{key}", reason)
    return MeasurementError("", str(error))


def _fault(kind: Any, value: Any) -> str | None:
    """What is wrong with a value that is to be sent as this kind; None if nothing is."""
    if isinstance(value, (float, Decimal)) and not Decimal(value).is_finite():
        return f"{value} is not a number that can be sent"
    try:
        seen = msgspec.json.decode(_encode(value), type=kind)
    except _BAD as error:
        return str(error)
    return f"a {type(value).__name__} is not text" if isinstance(seen, str) and seen != value else None
