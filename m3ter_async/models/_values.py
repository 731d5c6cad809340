"""What can be done with every model: to a dict and to JSON, from JSON, a changed copy, a short repr."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from ._exactness import Decoder

if TYPE_CHECKING:
    from typing import Self

_encode = msgspec.json.Encoder(decimal_format="number").encode
# In a repr: how many fields, and how much of a text.
_MOST_FIELDS, _MOST_TEXT = 12, 60
_NAMES = ("id", "code", "name", "type", "status", "currency")


class _Serializer:
    """What pydantic looks for where a model stands in a value of any type; made when it asks."""

    def __get__(self, instance: object, kind: type[Values]) -> Any:
        from ._pydantic import serializer

        return serializer(cast("Any", kind))


class Values:
    """The methods of a model; it costs a record nothing."""

    __slots__ = ()

    if TYPE_CHECKING:
        __struct_fields__: tuple[str, ...]
        __struct_encode_fields__: tuple[str, ...]

    @classmethod
    def from_json(cls, data: bytes | str) -> Self:
        """The model from its JSON, every number exact.

        Raises:
            msgspec.DecodeError: It is not JSON, or not of this model (then a ``msgspec.ValidationError``).
        """
        return cast("Self", _decoder(cast("Any", cls)).decode(data))

    def to_dict(
        self,
        *,
        mode: Literal["python", "json"] = "python",
        use_api_names: bool = True,
        exclude_none: bool = False,
    ) -> dict[str, Any]:
        """All fields of the model in a new dict, as deep as it goes.

        A field that came as null and one that did not come are both None in a model, so both are None here. What came
        and no model knows is not here: `raw()` of a listing has it.

        Args:
            mode: ``python`` keeps each value as it is: an amount is a `Decimal`. ``json`` has only what the `json`
                module writes: an amount is a text with all its digits, since a number there would be rounded.
            use_api_names: Names as the service has them (``billTotal``); else those of Python (``bill_total``).
            exclude_none: Leave out what is None.
        """
        return _fields(self, mode == "json", use_api_names, exclude_none)

    def to_json(self, *, indent: int | None = None, use_api_names: bool = True, exclude_none: bool = False) -> str:
        """The JSON of the model: amounts are numbers, digit for digit, and what is None is null.

        Args:
            indent: Spaces for each level; None for all on one line.
            use_api_names: Names as the service has them (``billTotal``); else those of Python (``bill_total``).
            exclude_none: Leave out what is None.

        Raises:
            ValueError: An amount is no number; none that the service sent is.
        """
        content = _encode(_fields(self, False, use_api_names, exclude_none))
        return (content if indent is None else msgspec.json.format(content, indent=indent)).decode()

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, which has no part in what is stored: see `edit` for that.

        Raises:
            TypeError: There is no such field.
        """
        return cast("Self", msgspec.structs.replace(cast("msgspec.Struct", self), **changes))

    def __repr__(self) -> str:
        return shown(self)

    if not TYPE_CHECKING:
        __pydantic_serializer__ = _Serializer()

        @property
        def __dict__(self) -> dict[str, Any]:
            """What `vars` gives, which web frameworks ask for: the fields as ``to_dict(mode="json")`` has them."""
            return self.to_dict(mode="json")

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            """How pydantic, and with it FastAPI, reads and writes the model."""
            from ._pydantic import core_schema

            return core_schema(cls)

        @classmethod
        def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
            """The model in an OpenAPI document."""
            from ._pydantic import json_schema

            return json_schema(cls)


def exact_json(value: object) -> bytes:
    """JSON in which each amount is a number, digit for digit."""
    return _encode(value)


def shown(model: Values, secrets: Iterable[str] = ()) -> str:
    """A repr that fits on a screen: the fields that tell most, and how many more there are; no secret."""
    given = {name: getattr(model, name) for name in model.__struct_fields__}
    given = {name: value for name, value in given.items() if value is not None or name in secrets}
    best = set(sorted(given, key=lambda name: _rank(name, given[name], secrets))[:_MOST_FIELDS])
    hidden = repr("[redacted]")
    parts = [f"{name}={hidden if name in secrets else _short(given[name])}" for name in given if name in best]
    if len(given) > len(best):
        parts.append(f"and {len(given) - len(best)} more")
    return f"{type(model).__name__}({', '.join(parts)})"


def _rank(name: str, value: Any, secrets: Iterable[str]) -> int:
    if name in secrets or name in _NAMES:
        return 0
    if isinstance(value, Decimal):
        return 1
    return 2 if isinstance(value, (list, dict, msgspec.Struct)) else 4 if isinstance(value, date) else 3


def _short(value: Any) -> str:
    if isinstance(value, (list, dict)):
        count = len(cast("list[object]", value))
        return f"[{count} item{'' if count == 1 else 's'}]" if isinstance(value, list) else f"{{{count} fields}}"
    if isinstance(value, msgspec.Struct):
        return f"{type(value).__name__}(...)"
    if isinstance(value, str) and len(value) > _MOST_TEXT:
        return repr(f"{value[: _MOST_TEXT - 3]}...")
    return repr(value)


def _fields(model: Values, json: bool, wire: bool, exclude_none: bool) -> dict[str, Any]:
    names = model.__struct_encode_fields__ if wire else model.__struct_fields__
    values = ((name, getattr(model, field)) for name, field in zip(names, model.__struct_fields__, strict=True))
    return {
        name: _value(value, json, wire, exclude_none)
        for name, value in values
        if not (exclude_none and value is None) and value is not msgspec.UNSET
    }


def _value(value: Any, json: bool, wire: bool, exclude_none: bool) -> Any:
    if isinstance(value, Values):
        return _fields(value, json, wire, exclude_none)
    if isinstance(value, (list, tuple)):
        return [_value(item, json, wire, exclude_none) for item in cast("Iterable[Any]", value)]
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: _value(item, json, wire, exclude_none) for name, item in items}
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"{value} is not an amount")
    return msgspec.to_builtins(value) if json else value


@lru_cache(maxsize=512)
def _decoder(kind: type) -> Decoder[Any]:
    return Decoder(kind)
