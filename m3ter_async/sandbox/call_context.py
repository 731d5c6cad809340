"""One call on its way through the sandbox: what was asked, and what the handlers may use to answer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from m3ter_async.sandbox.contract import Field, Route, Row
from m3ter_async.sandbox.state.stored_data import Store


@dataclass(frozen=True)
class Call:
    """A request that was matched, authorized and checked against the contract."""

    route: Route
    path: dict[str, str]
    query: dict[str, Any]
    body: Row


@dataclass
class World:
    """What every handler may use."""

    store: Store
    schemas: dict[str, dict[str, Field]]
    seed: int
    empty_pages: bool
    upload_seconds: float = 60
    counting: bool = False
    """Whether tokens of pages count rows, in place of naming the place where the next page begins."""
    url: str = ""

    def fields(self, answer: Field | None) -> dict[str, Field]:
        """The fields of what is answered; of an array or a page, the fields of its entities."""
        if answer is None:
            return {}
        if answer.type == "array":
            return self.fields(answer.item)
        if answer.type == "union":
            return {name: field for choice in answer.any_of for name, field in self.fields(choice).items()}
        fields = self.schemas.get(answer.ref or "", {})
        return self.fields(fields["data"]) if "data" in fields else fields

    def wrote(self, call: Call) -> None:
        """Count a write that took effect."""
        self.store.applied[call.route.operation] += 1


Handler = Callable[[World, Call], object]
# Called with the entity before and after: before is None on create, after is None on delete.
Rule = Callable[[World, Call, "Row | None", "Row | None"], None]
