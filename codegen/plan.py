"""Corrected contract -> what is to be printed: methods with their arguments, and a home for every model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from m3ter_async._core.retry import repeat_of

from . import python_names
from .apply_corrections import corrected, of_resources, plain_repeat, stale
from .corrections import Corrections
from .methods import Argument, Method
from .model_homes import Models, model_names
from .read_contract import Call, Contract, ContractError, Member, Type
from .suggested_names import named_operations


class Plan:
    """The whole contract, ready to print; `methods` holds the selected ones.

    What has to be decided before it may be printed is in `problems`, a line each. It is planned all the same, with
    suggested names, so that everything is found in one go and the difference can be shown.
    """

    def __init__(
        self, contract: Contract, table: Mapping[str, str], corrections: Corrections, tags: Iterable[str] | None
    ) -> None:
        self.contract = corrected(contract, corrections)
        self.corrections = corrections
        self.problems = [*self.contract.problems]
        self._named = named_operations(table, self.contract, self.problems)
        self.problems += of_resources(corrections, {resource for resource, _ in self._named.values()})
        every = [self._method(call) for call in self.contract.calls]
        chosen = None if tags is None else set(tags)
        if chosen and (unknown := chosen - {method.call.tag for method in every}):
            raise ContractError(f"no operation has the tag {sorted(unknown)}")
        order = {name: place for place, name in enumerate(self._named)}
        every.sort(key=lambda method: order[method.call.id])
        self.methods = [method for method in every if chosen is None or method.call.tag in chosen]
        self._check_fields_of_corrections(every)
        # Homes are those of the whole contract, so that selecting more of it moves nothing.
        models = Models(self.contract, every)
        self._types, self.homes = models.types, models.homes
        self.model_names = model_names(self.homes, corrections.model_names, self.problems)
        reached = {name for method in self.methods for name in models.of(method)}
        self.models = sorted(reached, key=lambda name: self.model_names[name])
        for name in self.models:
            if self._types[name].kind in ("object", "union"):
                fields = [member.name for member in self.contract.members(self._types[name])]
                self._check_twice(f"fields of {name}", fields)

    def _check_fields_of_corrections(self, every: Iterable[Method]) -> None:
        """Corrections of a resource name fields of its update, or of what it reads."""
        resources = {method.resource for method in every}
        written = {
            f"{m.resource}.{a.name}" for m in every if m.name == "update" for a in m.arguments if a.place == "body"
        }
        self._read = {
            (method.resource, member.name)
            for method in every
            if method.name == "retrieve" and method.record
            for member in self.contract.members(method.record)
        }
        anew = {key for key in self.corrections.anew if key.rpartition(".")[0] in resources}
        jobs = {key for key, (status, _) in self.corrections.jobs.items() if (key, status) not in self._read}
        self.problems += stale("anew", anew - written) + stale("jobs", jobs & resources)

    def _check_twice(self, what: str, wire: list[str]) -> None:
        called = [python_names.snake(name) for name in wire]
        if twice := sorted(name for name, python in zip(wire, called, strict=True) if called.count(python) > 1):
            self.problems.append(f"not printable: the {what} {', '.join(twice)} have one name in Python")

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

    def read(self, write: Method) -> Method | None:
        """What reads the record that a PUT with a version replaces, if anything does."""
        if write.call.method != "PUT" or write.repeat != "versioned" or write.paged or not write.record:
            return None
        if not any(argument.wire == "version" for argument in write.arguments if argument.place == "body"):
            return None
        same = (each for each in self.methods if each.call.path == write.call.path and each.call.method == "GET")
        return next((each for each in same if each.record == write.record and not each.paged), None)

    def read_only(self, write: Method) -> list[str]:
        """What the answer to a PUT has, and its body has not: the service sets it."""
        body = {argument.wire for argument in write.arguments if argument.place == "body"}
        return [member.name for member in self.contract.members(write.record) if member.name not in body]

    def by_code(self, resource: str) -> Method | None:
        """The listing that can be asked for one code, if there is one."""
        found = self._find(resource, "list")
        asks = found and any(a.wire == "codes" for a in found.arguments if a.place == "query")
        return found if asks else None

    def job(self, resource: str) -> tuple[Method, str] | None:
        """What reads a job that can be waited for, and the attribute that says how far it is."""
        read, status = self._find(resource, "retrieve"), self.corrections.jobs.get(resource, ("",))[0]
        if not read or not read.positional or (resource, status) not in self._read:
            return None
        return read, python_names.snake(status)

    def statements(self, resource: str) -> tuple[Method, ...]:
        """What lists, creates and retrieves the jobs that make the statements of this resource, if it has any."""
        jobs = self.corrections.statements.get(resource, ("",))[0]
        found = [self._find(jobs, name) for name in ("list", "create", "retrieve")]
        return tuple(method for method in found if method) if all(found) else ()

    def values(self, method: Method, argument: Argument) -> tuple[str, tuple[str, ...]]:
        """The known values of an argument, and the name of their enumeration.

        A filter that is declared as any text has the values of the field by that name in the records it chooses from.
        """
        type_ = argument.type.item or argument.type
        if not type_.enum and argument.place != "body" and type_.kind == "string" and method.record:
            record = method.record if method.record.kind in ("object", "union") else None
            same = [member.type for member in self.contract.members(record) if member.name == argument.wire]
            type_ = next((found for found in same if found.enum), type_)
        return self.model_names.get(type_.name, ""), type_.enum

    def _find(self, resource: str, name: str) -> Method | None:
        return next((method for method in self.methods if (method.resource, method.name) == (resource, name)), None)

    def class_name(self, resource: str) -> str:
        """The name of a resource's class; a model of that name keeps it."""
        named = self.corrections.class_names.get(resource)
        result = named[0] if named else python_names.class_name(resource)
        return f"{result}Resource" if result in self.model_names.values() else result

    def _method(self, call: Call) -> Method:
        resource, name = self._named[call.id]
        # In the order of the path, which is not always that of the declarations: the last is what the call is about.
        path = [self._argument(member, "path") for member in sorted(call.arguments, key=lambda m: _place(call, m))]
        query = [self._argument(member, "query") for member in call.query]
        body = [self._argument(member, "body") for member in self.contract.members(call.body)]
        query.sort(key=lambda argument: argument.wire not in ("pageSize", "nextToken"))
        keywords = [*path[:-1], *sorted(query + body, key=lambda argument: not argument.required)]
        self._check_twice(f"arguments of {call.id}", [argument.wire for argument in path[-1:] + keywords])
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
        return Argument(python_names.snake(member.name), member.name, place, member.type, required, nullable)

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
                record = next((known.answer for known in self.contract.calls if known.id == other), record)
            return record, {"page": "offset" if "fromDocument" in query else "token", **size}
        if call.id in self.corrections.pages:
            return answer, {"page": "either", **size}
        if "nextToken" in query:
            self.problems.append(
                f"not printable: {call.id} takes page parameters and answers no page; "
                f'if it may answer one, add "{call.id}" to pages in corrections.py'
            )
        return answer, {}


def _place(call: Call, member: Member) -> int:
    return call.path.index(f"{{{member.name}}}")
