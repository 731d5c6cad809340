"""Events: what happened in the organization, their types and fields, and whether a notification would fire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import ORG
from m3ter_async.sandbox.handlers.pages import page
from m3ter_async.sandbox.refusal import Refusal
from m3ter_async.sandbox.seed_data.collections import EVENTS as TYPES

EVENTS: Final = ORG + "/events"
NOTIFICATIONS: Final = ORG + "/notifications/configurations"
FIELDS: Final = {"new.id": "STRING", "new.accountId": "STRING", "new.amount": "NUMBER", "eventTime": "DATE_TIME"}
# Query parameters that are looked up in what the event is about.
INSIDE: Final = {"accountId": "accountId", "resourceId": "id"}


def raise_event(world: World, name: str, about: Row) -> None:
    """Let an event happen."""
    event_id, now = world.store.new_id(), world.store.now()
    event = {"id": event_id, "eventName": name, "eventTime": now, "new": about}
    row = {"id": event_id, "eventName": name, "eventTime": now, "m3terEvent": event, "dtActioned": None}
    world.store.table(EVENTS, {}).put(row)


def list_events(world: World, call: Call) -> Row:
    """GET /events: newest first; those that were actioned only where they are asked for."""
    names = _names(world, call)
    kind = call.query.get("eventType")
    inside = [(field, call.query[name]) for name, field in INSIDE.items() if name in call.query]

    def passes(row: Row) -> bool:
        if row["dtActioned"] is not None and not call.query.get("includeActioned", False):
            return False
        if kind is not None and not row["eventName"].startswith(kind):
            return False
        if names is not None and row["eventName"] not in names:
            return False
        return all(row["m3terEvent"]["new"].get(field) == value for field, value in inside)

    def walk(after: int | None) -> Iterable[tuple[int, Row]]:
        return ((place, row) for place, row in world.store.table(EVENTS, {}).walk(after) if passes(row))

    return page(world, call, walk, dict)


def _names(world: World, call: Call) -> frozenset[str] | None:
    """The event names that the notification wants which the call names by id or code, or None where it names none."""
    wanted = {"id": call.query.get("notificationId"), "code": call.query.get("notificationCode")}
    wanted = {field: value for field, value in wanted.items() if value is not None}
    if not wanted:
        return None
    rows = [row for _, row in world.store.table(NOTIFICATIONS, {}).walk()]
    found = [row for row in rows if all(row.get(field) == value for field, value in wanted.items())]
    return frozenset(row["eventName"] for row in found)


def event_types(_world: World, _call: Call) -> Row:
    """GET /events/types."""
    return {"events": list(TYPES)}


def event_fields(_world: World, call: Call) -> Row:
    """GET /events/fields: of one event type, or of all."""
    name = call.query.get("eventName")
    return {"events": {kind: dict(FIELDS) for kind in TYPES if name in (None, kind)}}


def evaluate(world: World, call: Call) -> Row:
    """POST /notifications/evaluate: a calculation is right when it names a field of the event."""
    event_id, calculation = call.body.get("eventId"), call.body.get("calculation") or ""
    if event_id is not None and world.store.table(EVENTS, {}).get(event_id) is None:
        raise Refusal(404, "eventId: there is no such event")
    if any(field in calculation for field in FIELDS):
        return {"success": True}
    return {"success": False, "errorMessage": f"calculation: names none of {', '.join(FIELDS)}"}


HANDLERS: Final[dict[str, Handler]] = {
    "ListEvents": list_events,
    "ListEventTypes": event_types,
    "ListEventFields": event_fields,
    "EvaluateCalculation": evaluate,
}
