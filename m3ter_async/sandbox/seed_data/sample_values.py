"""Plausible values for the fields of the contract, so that every seeded entity has the shape that is declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from m3ter_async.sandbox.contract import Field, Row
from m3ter_async.sandbox.seed_data.organization import CLOCKS, CURRENCIES, Organization
from m3ter_async.sandbox.seed_data.seeded_random import Draw

# Deeper than this, arrays are empty: some declared types contain themselves.
DEEPEST: Final = 3
# Fields that say who an entity is; of the others, one in eight is left out.
KEPT: Final = frozenset({"id", "name", "code", "version", "status", "active", "archived", "startDate", "calculation"})
TEXTS: Final = {
    "timezone": "UTC",
    "yearEpoch": "2025-01-01",
    "monthEpoch": "2025-01-01",
    "weekEpoch": "2025-01-06",
    "dayEpoch": "2025-01-01",
    "billPrefix": "INV-",
    "effect": "ALLOW",
    "unit": "GB",
    "country": "GB",
    "calculation": "new.amount > 100",
    "targetField": "value",
    "fieldCode": "value",
    "contactNumber": "+44 20 7946 0000",
    "action": "CONFIG_RETRIEVE",
    "resource": "*",
    "url": "https://hooks.example.com/m3ter",
}

References = Callable[[str], Sequence[str]]


class Sampler:
    """Draws values of declared types; `references` names the ids that a field such as `accountId` may hold."""

    def __init__(
        self, organization: Organization, schemas: Mapping[str, Mapping[str, Field]], references: References
    ) -> None:
        self._organization = organization
        self._schemas = schemas
        self._references = references

    def row(self, fields: Mapping[str, Field], chance: Draw, depth: int = 0) -> Row:
        """An object with these fields."""
        row: Row = {}
        for name, field in fields.items():
            value = self._value(name, field, chance, depth)
            # Drawn in any case, so that leaving one out does not change the others.
            if chance.random() >= 1 / 8 or field.required or name in KEPT:
                row[name] = value
        return row

    def _value(self, name: str, field: Field, chance: Draw, depth: int) -> Any:
        if field.enum:
            return chance.pick(field.enum)
        if field.type == "object":
            return self.row(self._schemas[field.ref or ""], chance, depth + 1)
        if field.type == "union":
            return self._value(name, field.any_of[0], chance, depth)
        if field.type == "array":
            return self._array(name, field, chance, depth)
        if field.type == "map":
            # What free keys hold is told by the item alone; custom fields are the usual case.
            return {"tier": self._value("tier", field.item, chance, depth + 1)} if field.item else {}
        return self._plain(name, field, chance)

    def _array(self, name: str, field: Field, chance: Draw, depth: int) -> list[Any]:
        if field.item is None or depth >= DEEPEST:
            return []
        # The ids in a list such as `productIds` are found under the name of one of them.
        return [self._value(name.removesuffix("s") if name.endswith("Ids") else name, field.item, chance, depth + 1)]

    def _plain(self, name: str, field: Field, chance: Draw) -> Any:
        if field.type in ("date", "date-time"):
            # What ends, ends after the sandbox's today; everything else lies in the past.
            day = self._organization.day(
                -1 - chance.below(300) if "End" in name or "end" in name else chance.below(900)
            )
            return day if field.type == "date" else day + chance.pick(CLOCKS)
        if field.type == "boolean":
            return chance.random() < 0.5
        if field.type == "integer":
            least = int(field.minimum or 0)
            return least + 1 + chance.below(min(11, int(field.maximum or 100) - least))
        if field.type == "number":
            return chance.pick(self._organization.prices)
        return self._text(name, field, chance)

    def _text(self, name: str, field: Field, chance: Draw) -> str:
        ids = self._references(name)
        if ids:
            return chance.pick(ids)
        if name == "id" or name.endswith("Id"):
            return chance.uuid()
        if name.lower().endswith("currency"):
            return chance.pick(CURRENCIES)
        if "email" in name.lower():
            return f"user-{chance.below(1000)}@example.com"
        text = TEXTS.get(name, f"{name} {chance.below(1000)}")
        return text[: field.max_length or 200]
