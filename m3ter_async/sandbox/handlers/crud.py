"""The operations that are the same for every collection, create to delete, and for what there is one of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Route, Row
from m3ter_async.sandbox.handlers.entity_rows import changed_row, entity_of, new_row
from m3ter_async.sandbox.handlers.pages import page
from m3ter_async.sandbox.rules.entity_rules import RULES
from m3ter_async.sandbox.rules.service_fields import DEFAULTS
from m3ter_async.sandbox.rules.versions import creates

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
            elif creates(route):
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
