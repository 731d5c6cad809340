"""One method of a resource and its arguments, as they are printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from m3ter_async._core.retry import repeat_of

from .read_contract import Call, Type


@dataclass(frozen=True)
class Argument:
    """One argument of a method: `place` says whether it goes into the path, the query or the body."""

    name: str
    wire: str
    place: str
    type: Type
    required: bool
    nullable: bool = False


@dataclass(frozen=True)
class Method:
    """One method of a resource class; `record` is the answer, or one record of it where there are pages."""

    call: Call
    resource: str
    name: str
    positional: tuple[Argument, ...]
    keywords: tuple[Argument, ...]
    record: Type | None
    settings: dict[str, Any]

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """All of them."""
        return self.positional + self.keywords

    @property
    def path(self) -> tuple[Argument, ...]:
        """Those in the path, in its order."""
        return tuple(argument for argument in self.keywords + self.positional if argument.place == "path")

    @property
    def repeat(self) -> str:
        """Whether it may be sent again when nobody knows if it took effect."""
        found: str = self.settings.get("repeat", repeat_of(self.call.method))
        return found

    @property
    def paged(self) -> bool:
        """Whether the answer comes in pages."""
        return "page" in self.settings
