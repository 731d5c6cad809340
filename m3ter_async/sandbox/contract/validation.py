"""Whether a query or a body is what the contract says; every refusal names the parameter or field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, cast

from m3ter_async.sandbox.contract.fields import Field
from m3ter_async.sandbox.refusal import Refusal

Schemas = Mapping[str, Mapping[str, Field]]

MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)")


def day(text: str) -> date | None:
    """The date that the text writes as YYYY-MM-DD, or None."""
    # Newer Pythons read more than this one form, and the sandbox must not depend on which one it runs on.
    if len(text) != 10:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def moment(text: str) -> datetime | None:
    """The instant that the text writes, as a date or as a date-time with an offset, or None."""
    as_day = day(text)
    if as_day is not None:
        return datetime(as_day.year, as_day.month, as_day.day, tzinfo=UTC)
    match = MOMENT.fullmatch(text)
    if match is None:
        return None
    seconds, fraction, offset = match.groups()
    offset = "+0000" if offset == "Z" else offset
    try:
        return datetime.strptime(f"{seconds}.{(fraction or '0')[:6]}{offset}", "%Y-%m-%dT%H:%M:%S.%f%z")
    except ValueError:
        return None


def check_query(declared: Mapping[str, Field], given: list[tuple[str, str]]) -> dict[str, Any]:
    """The query parameters as values: integers, booleans, lists and texts. An empty one counts as left out."""
    values: dict[str, Any] = {}
    seen: set[str] = set()
    for name, text in given:
        field = declared.get(name)
        if field is None:
            raise Refusal(400, f"{name}: there is no such query parameter")
        if name in seen:
            raise Refusal(400, f"{name}: given more than once")
        seen.add(name)
        if text == "" and field.type in ("string", "array"):
            continue
        value: Any = text
        if field.type == "integer":
            if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) is None:
                raise Refusal(400, f"{name}: not an integer")
            value = int(text)
        elif field.type == "boolean":
            if text not in ("true", "false"):
                raise Refusal(400, f"{name}: neither true nor false")
            value = text == "true"
        elif field.type == "array":
            value = text.split(",")
        _check(value, field, name, {})
        values[name] = value
    for name, field in declared.items():
        if field.required and name not in values:
            raise Refusal(400, f"{name}: missing")
    return values


def check_body(value: object, field: Field, schemas: Schemas) -> dict[str, Any]:
    """The body, which every operation wants to be an object."""
    if not isinstance(value, dict):
        raise Refusal(400, "body: not a JSON object")
    _check(cast("object", value), field, "", schemas)
    return cast("dict[str, Any]", value)


def _check(value: object, field: Field, name: str, schemas: Schemas) -> None:
    if field.type in ("object", "map"):
        if not isinstance(value, dict):
            raise Refusal(400, f"{name}: not an object")
        _check_object(cast("dict[str, object]", value), field, name, schemas)
    elif field.type == "array":
        if not isinstance(value, list):
            raise Refusal(400, f"{name}: not an array")
        items = cast("list[object]", value)
        _check_count(len(items), field, name)
        for number, item in enumerate(items):
            if field.item is not None:
                _check(item, field.item, f"{name}[{number}]", schemas)
    elif field.type == "boolean":
        if not isinstance(value, bool):
            raise Refusal(400, f"{name}: not a boolean")
    elif field.type in ("integer", "number"):
        _check_number(value, field, name)
    elif field.type == "union":
        _check_union(value, field, name, schemas)
    elif field.type != "any":
        _check_text(value, field, name)


def _check_object(value: dict[str, object], field: Field, name: str, schemas: Schemas) -> None:
    prefix = f"{name}." if name else ""
    if field.type == "map":
        _check_count(len(value), field, name)
        for key, item in value.items():
            if field.item is not None:
                _check(item, field.item, prefix + key, schemas)
        return
    fields = schemas[field.ref or ""]
    for key, item in value.items():
        if key not in fields:
            raise Refusal(400, f"{prefix}{key}: there is no such field")
        # A null stands for "nothing" and is only wrong where something is required, which is looked at below.
        if item is not None:
            _check(item, fields[key], prefix + key, schemas)
    for key, declared in fields.items():
        if declared.required and value.get(key) is None:
            raise Refusal(400, f"{prefix}{key}: missing")


def _check_count(count: int, field: Field, name: str) -> None:
    if field.min_items is not None and count < field.min_items:
        raise Refusal(400, f"{name}: fewer than {field.min_items} entries")
    if field.max_items is not None and count > field.max_items:
        raise Refusal(400, f"{name}: more than {field.max_items} entries")


def _check_number(value: object, field: Field, name: str) -> None:
    wanted = int if field.type == "integer" else (int, Decimal)
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise Refusal(400, f"{name}: not {'an integer' if field.type == 'integer' else 'a number'}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63 and field.type == "integer":
        raise Refusal(400, f"{name}: not an integer of 64 bits")
    # The arithmetic here is exact for what fits this; nobody's bill is larger.
    if value and not (-30 <= Decimal(value).adjusted() <= 30 and len(Decimal(value).as_tuple().digits) <= 40):
        raise Refusal(400, f"{name}: out of range")
    if field.minimum is not None:
        if field.exclusive_minimum and value <= field.minimum:
            raise Refusal(400, f"{name}: not above {field.minimum}")
        if value < field.minimum:
            raise Refusal(400, f"{name}: below {field.minimum}")
    if field.maximum is not None and value > field.maximum:
        raise Refusal(400, f"{name}: above {field.maximum}")


def chosen(field: Field, value: object, schemas: Schemas) -> Field | None:
    """Of a union's objects the one that the value says it is, by a field such as `type`; None where it says none."""
    if not isinstance(value, dict):
        return None
    given = cast("dict[str, object]", value)
    for choice in field.any_of:
        fields = schemas.get(choice.ref or "", {})
        if any(given.get(name) in one.enum for name, one in fields.items() if len(one.enum) == 1):
            return choice
    return None


def _sign(field: Field, schemas: Schemas) -> tuple[str, list[str]]:
    """The field by which a union's objects can be told apart, and its values; "" where there is none."""
    signs = [
        {name: one.enum[0] for name, one in schemas.get(choice.ref or "", {}).items() if len(one.enum) == 1}
        for choice in field.any_of
    ]
    common = [name for name in (signs[0] if signs else ()) if all(name in sign for sign in signs)]
    return (common[0], [sign[common[0]] for sign in signs]) if common else ("", [])


def _check_union(value: object, field: Field, name: str, schemas: Schemas) -> None:
    choice = chosen(field, value, schemas)
    if choice is not None:
        # The message then names the field that is wrong, and not only the union.
        return _check(value, choice, name, schemas)
    for choice in field.any_of:
        try:
            _check(value, choice, name, schemas)
        except Refusal:
            continue
        return
    sign, values = _sign(field, schemas)
    if sign:
        raise Refusal(400, f"{name + '.' if name else ''}{sign}: not one of {', '.join(values)}")
    raise Refusal(400, f"{name or 'body'}: of none of the types allowed")


def _check_text(value: object, field: Field, name: str) -> None:
    if not isinstance(value, str):
        raise Refusal(400, f"{name}: not a string")
    if field.type == "date" and day(value) is None:
        raise Refusal(400, f"{name}: not a date")
    if field.type == "date-time" and ("T" not in value or moment(value) is None):
        raise Refusal(400, f"{name}: not a date-time")
    if field.enum and value not in field.enum:
        raise Refusal(400, f"{name}: not one of {', '.join(field.enum)}")
    if field.min_length is not None and len(value) < field.min_length:
        raise Refusal(400, f"{name}: shorter than {field.min_length}")
    if field.max_length is not None and len(value) > field.max_length:
        raise Refusal(400, f"{name}: longer than {field.max_length}")
