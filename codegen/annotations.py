"""How types are spelled: in a struct's field, and in a method's argument."""

from __future__ import annotations

from collections.abc import Collection

from .plan import Plan
from .read_contract import Type

_FIELDS = {
    "string": "str",
    "date": "dt.date",
    "date-time": "dt.datetime",
    "integer": "int",
    "number": "Decimal",
    "boolean": "bool",
    "any": "Any",
}
_ARGUMENTS = {
    **_FIELDS,
    "date": "date | str",
    "date-time": "datetime | date | str",
    "number": "Decimal | int | float",
}
SCALARS = frozenset(("string", "integer", "number", "boolean"))


class Speller:
    """Spells types, and keeps in `models` the contract's names of those it spelled."""

    def __init__(self, plan: Plan) -> None:
        self._names = plan.model_names
        self.models: set[str] = set()

    def answer(self, type_: Type | None) -> str:
        """As what a call answers."""
        return "None" if type_ is None else self.field(type_)

    def field(self, type_: Type, late: Collection[str] = ()) -> str:
        """As a struct's field, without the None it may be; models in `late` are defined further down: in quotes."""
        if type_.kind == "array" and type_.item:
            return f"Sequence[{self.field(type_.item, late)}]"
        if type_.kind == "map" and type_.item:
            return f"Mapping[str, {self.field(type_.item, late)}]"
        if type_.kind == "union" and not type_.name:
            return "Scalar" if all(choice.kind in SCALARS for choice in type_.choices) else "Any"
        if type_.name:
            model = self._model(type_.name)
            return f'"{model}"' if type_.name in late else model
        return _FIELDS[type_.kind]

    def argument(self, type_: Type) -> str:
        """As a method's argument, without what stands for leaving it out."""
        if type_.kind == "array" and type_.item:
            return f"Sequence[{self.argument(type_.item)}]"
        if type_.kind == "map" and type_.item:
            return f"Mapping[str, {self.argument(type_.item)}]"
        if type_.kind == "union" and not type_.name:
            return "str | int | float | Decimal"
        if type_.kind in ("object", "union"):
            return f"{self._model(type_.name)} | Mapping[str, Any]"
        if type_.name:
            return self._model(type_.name)
        if type_.enum:
            return f"Literal[{', '.join(repr(value) for value in type_.enum)}] | str"
        return _ARGUMENTS[type_.kind]

    def _model(self, name: str) -> str:
        self.models.add(name)
        return self._names[name]
