"""What an event is about: its record as a model, by the name of the event."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from ._values import Values, exact_json

if TYPE_CHECKING:
    from ._base import Model

_PACKAGE: Final = __name__.rpartition(".")[0]
# Models that events are about; an event names one in lower case: ``configuration.accountplan.created``.
_MODELS: Final = {
    name.lower(): name
    for name in (
        *("Account", "AccountPlan", "Aggregation", "Balance", "BalanceTransaction", "Bill", "BillJob", "Charge"),
        *("Commitment", "CompoundAggregation", "Contract", "Counter", "CounterAdjustment", "CounterPricing"),
        *("ExportDestination", "ExportJob", "ExportSchedule", "Meter", "Plan", "PlanGroup", "PlanGroupLink"),
        *("PlanTemplate", "Pricing", "Product", "User"),
    )
}


class EventRecord:
    """What an event has besides its fields."""

    __slots__ = ()

    @property
    def record(self) -> Model | None:
        """The record that the event is about, as it was then: a `Bill`, an `Account`, ... by the event's name, exact.

        None where the name is new to this package, or the event has no record. Then `m3ter_event` has what came.

        Raises:
            msgspec.ValidationError: The record is none of that kind.
        """
        event: object = getattr(self, "m3ter_event", None)
        data = cast("Mapping[str, object]", event).get("eventData") if isinstance(event, Mapping) else None
        record = cast("Mapping[str, object]", data).get("newDto") if isinstance(data, Mapping) else None
        kind = _kind(getattr(self, "event_name", None))
        if kind is None or not isinstance(record, Mapping):
            return None
        return cast("Model", kind.from_json(exact_json(cast("object", record))))


def _kind(event: object) -> type[Values] | None:
    parts = event.split(".") if isinstance(event, str) else []
    name = _MODELS.get(parts[-2].replace("_", "").replace("-", "").lower()) if len(parts) > 1 else None
    return getattr(import_module(_PACKAGE), name) if name else None
