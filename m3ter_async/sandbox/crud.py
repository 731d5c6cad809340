"""The operations that are the same for every collection: create, retrieve, list, update, delete."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from m3ter_async.sandbox.calls import Call, Handler, World
from m3ter_async.sandbox.data import Row
from m3ter_async.sandbox.pages import page
from m3ter_async.sandbox.problem import Problem
from m3ter_async.sandbox.rules import RULES
from m3ter_async.sandbox.schema import Field, Route
from m3ter_async.sandbox.validate import moment

# Entities that are answered with more than what is stored.
Shape = Callable[[World, Row], Row]


class Collections:
    """Handlers for the routes whose path says what they do; `shapes` by path pattern complete what is answered."""

    def __init__(self, shapes: dict[str, Shape]) -> None:
        self._shapes: Final = shapes

    def handlers(self, routes: Iterable[Route]) -> dict[str, Handler]:
        """The generic handler of each operation that has one."""
        found: dict[str, Handler] = {}
        routes = list(routes)
        paths = {route.path for route in routes}
        for route in routes:
            entity = route.path.endswith("}")
            if entity and route.method in ("GET", "PUT", "DELETE"):
                found[route.operation] = {"GET": self.retrieve, "PUT": self.update, "DELETE": self.delete}[route.method]
            elif route.method == "GET" and "pageSize" in route.query:
                found[route.operation] = self.list
            elif route.method == "POST" and (route.path + "/{id}" in paths or route.path.endswith("/transactions")):
                found[route.operation] = self.create
        return found

    def _shape(self, world: World, pattern: str, row: Row) -> Row:
        shape = self._shapes.get(pattern)
        return row if shape is None else shape(world, row)

    def create(self, world: World, call: Call) -> Row:
        """Store a new entity, version 1."""
        pattern = call.route.path
        table = world.store.table(pattern, call.path)
        row = new_row(world, call)
        check = RULES.get(pattern)
        if check is not None:
            check(world, call, None, row)
        table.put(row)
        world.wrote(call)
        return self._shape(world, pattern, row)

    def retrieve(self, world: World, call: Call) -> Row:
        """Answer one entity."""
        pattern, name = entity_of(call)
        return self._shape(world, pattern, world.store.row(pattern, call.path, name))

    def list(self, world: World, call: Call) -> Row:
        """Answer a page of entities."""
        pattern = call.route.path
        table = world.store.table(pattern, call.path)
        return page(world, call, table.walk, lambda row: self._shape(world, pattern, row))

    def update(self, world: World, call: Call) -> Row:
        """Replace everything of an entity that its callers may set."""
        pattern, name = entity_of(call)
        before = world.store.row(pattern, call.path, name)
        row = changed_row(world, call, before)
        check = RULES.get(pattern)
        if check is not None:
            check(world, call, before, row)
        world.store.table(pattern, call.path).put(row)
        world.wrote(call)
        return self._shape(world, pattern, row)

    def delete(self, world: World, call: Call) -> Row:
        """Remove an entity and answer it a last time."""
        pattern, name = entity_of(call)
        row = world.store.row(pattern, call.path, name)
        answer = self._shape(world, pattern, row)
        check = RULES.get(pattern)
        if check is not None:
            check(world, call, row, None)
        world.store.table(pattern, call.path).remove(row["id"])
        world.wrote(call)
        return answer


def entity_of(call: Call) -> tuple[str, str]:
    """The path pattern of the collection, and the name of the parameter that holds the entity's id."""
    pattern, _, last = call.route.path.rpartition("/")
    return pattern, last[1:-1]


def new_row(world: World, call: Call) -> Row:
    """A new entity as it is answered: what the body says, and what the service adds."""
    fields = world.fields(call.route.answer)
    now, author = world.store.now(), world.store.organization.service_user_id
    added = {"dtCreated": now, "dtLastModified": now, "createdBy": author, "lastModifiedBy": author}
    row: Row = {**call.path, **call.body, **added, "id": world.store.new_id(), "version": 1}
    return _known(row, fields)


def changed_row(world: World, call: Call, before: Row) -> Row:
    """An entity after an update: fields the body left out are gone, those only the service sets stay."""
    body = call.route.body
    settable = world.schemas[(body and body.ref) or ""]
    check_version(call, before)
    kept = {name: value for name, value in before.items() if name not in settable}
    return {**kept, **_known(call.body, world.fields(call.route.answer)), **touched(world, before)}


def _known(row: Row, fields: dict[str, Field]) -> Row:
    """The part of a row that is answered; a date that the request declares as mere text is looked at here."""
    for name, field in fields.items():
        if field.type in ("date", "date-time") and row.get(name) is not None and moment(row[name]) is None:
            raise Problem(400, f"{name}: not a date")
    return {name: value for name, value in row.items() if name in fields}


def check_version(call: Call, before: Row) -> None:
    """An update must carry the version it was made from."""
    version = call.body.get("version")
    if version is None:
        raise Problem(400, "version: missing, an update must carry it")
    if version != before["version"]:
        raise Problem(409, f"version: is {before['version']}, not {version}")


def touched(world: World, before: Row) -> Row:
    """The fields that say when and by whom an entity was changed."""
    author = world.store.organization.service_user_id
    return {"version": before["version"] + 1, "dtLastModified": world.store.now(), "lastModifiedBy": author}
