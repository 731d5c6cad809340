"""The operations that are the same for every collection, create to delete, and for what there is one of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from m3ter_async.sandbox.calls import Call, Handler, World
from m3ter_async.sandbox.catalog import ENTITY_FIELDS
from m3ter_async.sandbox.data import Row
from m3ter_async.sandbox.defaults import DEFAULTS
from m3ter_async.sandbox.pages import page
from m3ter_async.sandbox.problem import Problem
from m3ter_async.sandbox.rules import RULES
from m3ter_async.sandbox.schema import Field, Route
from m3ter_async.sandbox.validate import chosen, moment

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
        known = {(route.method, route.path) for route in routes}
        for route in routes:
            if route.method == "GET" and "pageSize" in route.query:
                found[route.operation] = self.list
            elif route.path.endswith("}") and route.method in ("GET", "PUT", "DELETE"):
                found[route.operation] = {"GET": self.retrieve, "PUT": self.update, "DELETE": self.delete}[route.method]
            elif creates(route, known):
                found[route.operation] = self.create
            elif {("GET", route.path), ("PUT", route.path)} <= known and route.method in ("GET", "PUT"):
                found[route.operation] = read_single if route.method == "GET" else replace_single
        return found

    def _shape(self, world: World, pattern: str, row: Row) -> Row:
        shape = self._shapes.get(pattern)
        return row if shape is None else shape(world, row)

    def create(self, world: World, call: Call) -> Row:
        """Store a new entity, version 1."""
        pattern = call.route.path
        table = world.store.table(pattern, call.path)
        row = new_row(world, call)
        _check(world, call, pattern, None, row)
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
        _check(world, call, pattern, before, row)
        world.store.table(pattern, call.path).put(row)
        world.wrote(call)
        return self._shape(world, pattern, row)

    def delete(self, world: World, call: Call) -> Row:
        """Remove an entity and answer it a last time."""
        pattern, name = entity_of(call)
        row = world.store.row(pattern, call.path, name)
        answer = self._shape(world, pattern, row)
        _check(world, call, pattern, row, None)
        world.store.table(pattern, call.path).remove(row["id"])
        world.wrote(call)
        return answer


def creates(route: Route, known: set[tuple[str, str]]) -> bool:
    """Whether a POST makes an entity that can be retrieved by its id, or a transaction, which cannot."""
    made = ("GET", route.path + "/{id}") in known or route.path.endswith("/transactions")
    return route.method == "POST" and made


def _check(world: World, call: Call, pattern: str, before: Row | None, after: Row | None) -> None:
    for rule in (DEFAULTS.get(pattern), RULES.get(pattern)):
        if rule is not None:
            rule(world, call, before, after)


def _single(world: World, call: Call) -> Row:
    organization = world.store.organization
    return world.store.row(call.route.path, {"id": organization.id})


def read_single(world: World, call: Call) -> Row:
    """Answer what there is one of in the organization, such as its configuration."""
    return _single(world, call)


def replace_single(world: World, call: Call) -> Row:
    """Replace what there is one of in the organization."""
    row = changed_row(world, call, _single(world, call))
    world.wrote(call)
    return world.store.table(call.route.path, {}).put(row)


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
    if "version" in settable:
        check_version(call, before)
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
            raise Problem(400, f"{name}: not a date")
        if field.enum and value not in field.enum:
            raise Problem(400, f"{name}: not one of {', '.join(field.enum)}")
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
