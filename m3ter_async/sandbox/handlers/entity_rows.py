"""Rows as they are stored: new ones, changed ones, and the fields that the service itself sets."""

from __future__ import annotations

from m3ter_async.sandbox.call_context import Call, World
from m3ter_async.sandbox.contract import Field, Row
from m3ter_async.sandbox.contract.validation import chosen, moment
from m3ter_async.sandbox.refusal import Refusal
from m3ter_async.sandbox.rules.versions import check_version
from m3ter_async.sandbox.seed_data.collections import ENTITY_FIELDS


def entity_of(call: Call) -> tuple[str, str]:
    """The path pattern of the collection, and the name of the parameter that holds the entity's id."""
    pattern, _, last = call.route.path.rpartition("/")
    return pattern, last[1:-1]


def _fields(world: World, call: Call, pattern: str) -> dict[str, Field]:
    """The fields of an entity: those of the answer, and those that only the list of its collection declares."""
    answer = call.route.answer
    if answer is not None and answer.type == "union":
        choice = chosen(call.route.body, call.body, world.schemas) if call.route.body is not None else None
        if choice is not None and call.route.body is not None:
            # Requests and answers are declared in the same order.
            return world.fields(answer.any_of[call.route.body.any_of.index(choice)])
    return {**world.fields(answer), **ENTITY_FIELDS.get(pattern, {})}


def new_row(world: World, call: Call) -> Row:
    """A new entity as it is answered: what the body says, and what the service adds."""
    now, author = world.store.now(), world.store.organization.service_user_id
    added = {"dtCreated": now, "dtLastModified": now, "createdBy": author, "lastModifiedBy": author}
    row: Row = {**call.path, **call.body, **added, "id": world.store.new_id(), "version": 1}
    return _known(row, _fields(world, call, call.route.path))


def changed_row(world: World, call: Call, before: Row) -> Row:
    """An entity after an update: fields the body left out are gone, those only the service sets stay."""
    settable = world.fields(call.route.body)
    check_version(world, call, before)
    fields = _fields(world, call, entity_of(call)[0])
    kept = {name: value for name, value in before.items() if name not in settable}
    change = {name: value for name, value in touched(world, before).items() if name in fields}
    return {**kept, **_known(call.body, fields), **change}


def _known(row: Row, fields: dict[str, Field]) -> Row:
    """The part of a row that is answered; what only the request declares as mere text is looked at here."""
    for name, field in fields.items():
        value = row.get(name)
        if value is None:
            continue
        if field.type in ("date", "date-time") and moment(value) is None:
            raise Refusal(400, f"{name}: not a date")
        if field.enum and value not in field.enum:
            raise Refusal(400, f"{name}: not one of {', '.join(field.enum)}")
    return {name: value for name, value in row.items() if name in fields}


def touched(world: World, before: Row) -> Row:
    """The fields that say when and by whom an entity was changed."""
    author = world.store.organization.service_user_id
    return {"version": before["version"] + 1, "dtLastModified": world.store.now(), "lastModifiedBy": author}
