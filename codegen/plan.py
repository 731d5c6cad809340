"""Corrected contract -> what is to be printed: methods with their arguments, and a home for every model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from m3ter_async._core.retry import repeat_of

from . import names
from .corrections import Corrections, check_resources, corrected, plain_repeat
from .read import Call, Contract, ContractError, Member, Type

SHARED = "_shared"


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


class Plan:
    """The whole contract, ready to print; `methods` holds the selected ones."""

    def __init__(
        self, contract: Contract, table: Mapping[str, str], corrections: Corrections, tags: Iterable[str] | None
    ) -> None:
        check_resources(corrections, table)
        self.contract = corrected(contract, corrections)
        self.corrections = corrections
        self._named = names.by_operation(table, self.contract)
        every = [self._method(call) for call in self.contract.calls]
        chosen = None if tags is None else set(tags)
        if chosen and (unknown := chosen - {method.call.tag for method in every}):
            raise ContractError(f"no operation has the tag {sorted(unknown)}")
        order = {name: place for place, name in enumerate(self._named)}
        every.sort(key=lambda method: order[method.call.id])
        self.methods = [method for method in every if chosen is None or method.call.tag in chosen]
        bodies = {
            f"{m.resource}.{a.name}" for m in every if m.name == "update" for a in m.arguments if a.place == "body"
        }
        if stale := set(corrections.anew) - bodies:
            raise ContractError(f"corrections that change nothing: {sorted(stale)}")
        read = [method for method in every if method.name == "retrieve" and method.resource in corrections.jobs]
        states = {
            f"{method.resource} {member.name}" for method in read for member in self.contract.members(method.record)
        }
        if stale := {f"{name} {status}" for name, (status, _) in corrections.jobs.items()} - states:
            raise ContractError(f"corrections that change nothing: {sorted(stale)}")
        # Homes are those of the whole contract, so that selecting more of it moves nothing.
        self.homes = self._homes(every)
        self.model_names = self._model_names(self.homes)
        reached: set[str] = set()
        for method in self.methods:
            reached |= set(self._models(method))
        self.models = sorted(reached, key=lambda name: self.model_names[name])

    def types(self) -> dict[str, Type]:
        """The objects, unions and enumerations to print, by the contract's name."""
        return {name: self._types[name] for name in self.models}

    def resources(self) -> dict[str, list[Method]]:
        """Methods by resource, with the resources above them, parents first."""
        found: dict[str, list[Method]] = {}
        for method in self.methods:
            parts = method.resource.split(".")
            for end in range(1, len(parts)):
                found.setdefault(".".join(parts[:end]), [])
            found.setdefault(method.resource, []).append(method)
        return dict(sorted(found.items()))

    def edit(self, resource: str) -> tuple[Method, Method] | None:
        """The methods that reading, changing and writing back is made of: `retrieve` and an `update` with a version."""
        read, write = self._find(resource, "retrieve"), self._find(resource, "update")
        if not read or not write or resource in self.corrections.no_edit:
            return None
        same = read.call.path == write.call.path and read.record == write.record
        versioned = any(argument.wire == "version" for argument in write.arguments if argument.place == "body")
        return (read, write) if same and versioned else None

    def by_code(self, resource: str) -> Method | None:
        """The listing that can be asked for one code, if there is one."""
        found = self._find(resource, "list")
        asks = found and any(a.wire == "codes" for a in found.arguments if a.place == "query")
        return found if asks else None

    def job(self, resource: str) -> tuple[Method, str] | None:
        """What reads a job that can be waited for, and the attribute that says how far it is."""
        read = self._find(resource, "retrieve")
        if not read or resource not in self.corrections.jobs:
            return None
        return read, names.snake(self.corrections.jobs[resource][0])

    def statements(self, resource: str) -> tuple[Method, ...]:
        """What lists, creates and retrieves the jobs that make the statements of this resource, if it has any."""
        jobs = self.corrections.statements.get(resource, ("",))[0]
        return tuple(found for name in ("list", "create", "retrieve") if (found := self._find(jobs, name)))

    def _find(self, resource: str, name: str) -> Method | None:
        return next((method for method in self.methods if (method.resource, method.name) == (resource, name)), None)

    def class_name(self, resource: str) -> str:
        """The name of a resource's class; a model of that name keeps it."""
        named = self.corrections.class_names.get(resource)
        result = named[0] if named else names.class_name(resource)
        return f"{result}Resource" if result in self.model_names.values() else result

    def _method(self, call: Call) -> Method:
        resource, name = self._named[call.id]
        # In the order of the path, which is not always that of the declarations: the last is what the call is about.
        path = [self._argument(member, "path") for member in sorted(call.arguments, key=lambda m: _place(call, m))]
        query = [self._argument(member, "query") for member in call.query]
        body = [self._argument(member, "body") for member in self.contract.members(call.body)]
        query.sort(key=lambda argument: argument.wire not in ("pageSize", "nextToken"))
        keywords = [*path[:-1], *sorted(query + body, key=lambda argument: not argument.required)]
        seen = [argument.name for argument in path[-1:] + keywords]
        if twice := {name for name in seen if seen.count(name) > 1}:
            raise ContractError(f"{call.id} has two arguments called {sorted(twice)}")
        record, settings = self._answer(call)
        repeat = self.corrections.repeat.get(call.id, (plain_repeat(self.contract, call), ""))[0]
        if repeat != repeat_of(call.method):  # what goes by the method is not printed
            settings = {"repeat": repeat, **settings}
        if call.id in self.corrections.scope:
            settings["scope"] = self.corrections.scope[call.id][0]
        if call.id in self.corrections.busy:
            settings["busy"] = True
        if "//ingest." in call.server:
            settings["server"] = "ingest"
        return Method(call, resource, name, tuple(path[-1:]), tuple(keywords), record, settings)

    def _argument(self, member: Member, place: str) -> Argument:
        nullable = member.name == "nextToken" if place == "query" else place == "body" and not member.required
        required = member.required or place == "path"
        return Argument(names.snake(member.name), member.name, place, member.type, required, nullable)

    def _answer(self, call: Call) -> tuple[Type | None, dict[str, Any]]:
        """The type of the answer, or of one record, and how the pages go."""
        answer = call.answer
        query = {member.name: member for member in call.query}
        limits = dict(query["pageSize"].type.limits) if "pageSize" in query else {}
        size = {"page_size": limits["maximum"]} if "maximum" in limits else {}
        fields = self.contract.schemas[answer.name] if answer and answer.kind == "object" else ()
        if {member.name for member in fields} == {"data", "nextToken"}:
            record = next(member.type.item for member in fields if member.name == "data")
            if call.id in self.corrections.records:
                other = self.corrections.records[call.id][0]
                record = next(known.answer for known in self.contract.calls if known.id == other)
            return record, {"page": "offset" if "fromDocument" in query else "token", **size}
        if call.id in self.corrections.pages:
            return answer, {"page": "either", **size}
        if "nextToken" in query:
            raise ContractError(f"{call.id} takes page parameters and answers no page: list it in `pages`")
        return answer, {}

    def _models(self, method: Method) -> dict[str, Type]:
        """The structs and enumerations that a method needs, by the contract's name."""
        roots = [*(argument.type for argument in method.arguments), *([method.record] if method.record else [])]
        found = {type_.name: type_ for root in roots for type_ in root.walk() if type_.name}
        objects = self.contract.reach(*roots)
        found |= objects
        for type_ in objects.values():
            for member in self.contract.members(type_):
                found |= {inner.name: inner for inner in member.type.walk() if inner.name}
        # A union is printed as one struct: its choices are not printed, unless something else holds them.
        return {name: type_ for name, type_ in found.items() if not self._only_a_choice(name, found, roots)}

    def _only_a_choice(self, name: str, found: Mapping[str, Type], roots: list[Type]) -> bool:
        unions = [type_ for type_ in found.values() if type_.kind == "union"]
        if not any(choice.name == name for union in unions for choice in union.choices):
            return False
        holders = [m.type for t in found.values() if t.kind in ("object", "union") for m in self.contract.members(t)]
        return not any(name in _direct(holder) for holder in roots + holders)

    def _homes(self, methods: list[Method]) -> dict[str, str]:
        """The module of every model: its one top-level resource, or the shared one."""
        self._types: dict[str, Type] = {}
        tops: dict[str, set[str]] = {}
        for method in methods:
            for name, type_ in self._models(method).items():
                self._types[name] = type_
                tops.setdefault(name, set()).add(method.resource.split(".")[0])
        return {name: next(iter(top)) if len(top) == 1 else SHARED for name, top in tops.items()}

    def _model_names(self, wanted: Iterable[str]) -> dict[str, str]:
        result: dict[str, str] = {}
        called: dict[str, list[str]] = {}
        for name in sorted(wanted):
            given = self.corrections.model_names.get(name)
            result[name] = given[0] if given else names.pascal(name).removesuffix("Response")
            called.setdefault(result[name], []).append(name)
            if not result[name].isidentifier() or (not given and "|" in name):
                raise ContractError(f"{name} needs a name")
        if clashes := [found for found in called.values() if len(found) > 1]:
            raise ContractError(f"these schemas share a name: {clashes}")
        if stale := set(self.corrections.model_names) - set(result):
            raise ContractError(f"corrections that change nothing: {sorted(stale)}")
        return result


def _place(call: Call, member: Member) -> int:
    return call.path.index(f"{{{member.name}}}")


def _direct(type_: Type) -> set[str]:
    """The names a type holds by itself, not as one choice of a union."""
    if type_.kind == "union":
        return {type_.name}
    return {type_.name} | (_direct(type_.item) if type_.item else set())
