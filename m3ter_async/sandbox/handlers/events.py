"""Events: what happened in the organization, their types and fields, and whether a notification would fire."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import (
    ACCOUNT_PLANS,
    ACCOUNTS,
    BALANCES,
    BILLS,
    COMMITMENTS,
    CONTRACTS,
    METERS,
    ORG,
)
from m3ter_async.sandbox.contract.validation import moment
from m3ter_async.sandbox.handlers.bills import with_lines
from m3ter_async.sandbox.handlers.pages import page
from m3ter_async.sandbox.refusal import Refusal
from m3ter_async.sandbox.seed_data.collections import EVENTS as TYPES

EVENTS: Final = ORG + "/events"
NOTIFICATIONS: Final = ORG + "/notifications/configurations"
FIELDS: Final = {"new.id": "STRING", "new.accountId": "STRING", "new.amount": "NUMBER", "eventTime": "DATE_TIME"}
KEPT: Final = timedelta(days=28)
# Collections whose entities raise events, and what these events are about.
TOLD: Final = {
    BILLS: "billing.bill",
    ACCOUNTS: "configuration.account",
    ACCOUNT_PLANS: "configuration.accountplan",
    BALANCES: "configuration.balance",
    COMMITMENTS: "configuration.commitment",
    CONTRACTS: "configuration.contract",
    METERS: "configuration.meter",
    ORG + "/aggregations": "configuration.aggregation",
    ORG + "/compoundaggregations": "configuration.compoundaggregation",
    ORG + "/counters": "configuration.counter",
    ORG + "/counterpricings": "configuration.counterpricing",
    ORG + "/plans": "configuration.plan",
    ORG + "/plantemplates": "configuration.plantemplate",
    ORG + "/plangroups": "configuration.plangroup",
    ORG + "/plangrouplinks": "configuration.plangrouplink",
    ORG + "/pricings": "configuration.pricing",
    ORG + "/products": "configuration.product",
}
STATES: Final = ("created", "updated", "deleted")
NAMES: Final = tuple(dict.fromkeys([*TYPES, *(f"{about}.{state}" for about in TOLD.values() for state in STATES)]))
# Query parameters that are looked up in what the event is about.
INSIDE: Final = {"accountId": "accountId", "resourceId": "id"}


def raise_event(world: World, name: str, about: Row) -> None:
    """Let an event happen."""
    _put(world, name, world.store.new_id(), world.store.now(), {"new": about})


def _put(world: World, name: str, event_id: str, now: str, about: Row) -> None:
    event = {"id": event_id, "eventName": name, "eventTime": now, **about}
    row = {"id": event_id, "eventName": name, "eventTime": now, "m3terEvent": event, "dtActioned": None}
    world.store.table(EVENTS, {}).put(row)


def tell_changes(world: World) -> None:
    """Raise an event for each entity whose state changed since the last time.

    What moves no version, such as a credit on a bill, raises none.
    """
    for change in world.store.take_changes():
        kind, row = TOLD.get(change.pattern), change.after or change.before
        if kind is None or row is None:
            continue
        if change.before is None:
            state = "created"
        elif change.after is None:
            state = "deleted"
        elif change.after["version"] != change.before["version"]:
            state = "updated"
        else:
            continue
        whole = with_lines(world, row) if change.pattern == BILLS else row
        about: Row = {"eventData": {"newDto": whole}}
        _put(world, f"{kind}.{state}", world.store.new_event_id(), world.store.text, about)


def _subject(row: Row) -> Any:
    """What an event is about."""
    event = row["m3terEvent"]
    return event.get("new") or event["eventData"]["newDto"]


def list_events(world: World, call: Call) -> Row:
    """GET /events: of the last 28 days, newest first; those that were actioned only where they are asked for."""
    oldest = world.store.time - KEPT
    names = _names(world, call)
    kind = call.query.get("eventType")
    inside = [(field, call.query[name]) for name, field in INSIDE.items() if name in call.query]

    def passes(row: Row) -> bool:
        if (moment(row["eventTime"]) or oldest) <= oldest:
            return False
        if row["dtActioned"] is not None and not call.query.get("includeActioned", False):
            return False
        if kind is not None and not row["eventName"].startswith(kind):
            return False
        if names is not None and row["eventName"] not in names:
            return False
        return all(_subject(row).get(field) == value for field, value in inside)

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
    return {"events": list(NAMES)}


def event_fields(_world: World, call: Call) -> Row:
    """GET /events/fields: of one event type, or of all."""
    name = call.query.get("eventName")
    return {"events": {kind: dict(FIELDS) for kind in NAMES if name in (None, kind)}}


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
