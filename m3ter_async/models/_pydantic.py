"""Models for pydantic, loaded only where it asks for one: FastAPI returns them, and has them in its documents."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

if TYPE_CHECKING:
    from ._values import Values


def core_schema(model: type[Values]) -> Any:
    """How pydantic reads a model (from one, from a mapping, from JSON) and writes it (as ``to_dict`` does)."""
    from pydantic_core import core_schema as core  # pyright: ignore  # it is there, if this is called

    def read(value: object) -> Any:
        if isinstance(value, model):
            return value
        try:
            return msgspec.convert(value, model)
        except msgspec.ValidationError as error:
            reason = str(error)
        raise ValueError(reason)

    def write(value: Values, info: Any) -> dict[str, Any]:
        mode: Literal["json", "python"] = "json" if info.mode_is_json() else "python"
        return value.to_dict(mode=mode, use_api_names=info.by_alias is not False, exclude_none=info.exclude_none)

    serializer: Any = core.plain_serializer_function_ser_schema(write, info_arg=True)
    found: Any = core.no_info_plain_validator_function(read, serialization=serializer)
    return found


@lru_cache(maxsize=512)
def serializer(model: type[Values]) -> Any:
    """How pydantic writes a model that stands where any value may."""
    from pydantic_core import SchemaSerializer  # pyright: ignore  # as above

    return SchemaSerializer(core_schema(model))


def json_schema(model: type[Values]) -> dict[str, Any]:
    """The schema of a model with all within it in place: what it refers to has no place of its own in a document."""
    schema = msgspec.json.schema(model)
    return cast("dict[str, Any]", _inlined(schema, schema.get("$defs", {}), ()))


def _inlined(schema: Any, definitions: Mapping[str, Any], above: tuple[str, ...]) -> Any:
    if isinstance(schema, list):
        return [_inlined(item, definitions, above) for item in cast("list[object]", schema)]
    if not isinstance(schema, dict):
        return schema
    fields = cast("dict[str, Any]", schema)
    if "$ref" in fields:
        name = fields["$ref"].rpartition("/")[2]
        if name in above:  # one that holds itself
            return {"type": "object", "title": name}
        return _inlined(definitions[name], definitions, (*above, name))
    return {name: _inlined(value, definitions, above) for name, value in fields.items() if name != "$defs"}
