"""Contract + corrections -> the contract as this project believes it to be, and the corrections that do not apply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from m3ter_async._core.retry import repeat_of

from .corrections import Corrections
from .read_contract import Call, Contract, Member, Type


def corrected(contract: Contract, corrections: Corrections) -> Contract:
    """The contract with the corrections in it; the one given stays as the document has it.

    A correction that does not apply, or that changes nothing, is among the problems of the result.
    """
    used: set[str] = set()

    def fix(member: Member, owner: str) -> Member:
        key = f"{owner}:{member.name}" if owner in ("path", "query") else f"{owner}.{member.name}"
        kind, _ = corrections.types.get(key, ("", ""))
        if kind and member.type.kind == "string":
            used.add(key)
            item = Type("string") if kind == "array" else None
            return replace(member, type=Type(kind, item=item))
        return replace(member, type=_open(member.type, corrections, used))

    answers = {call.id: call.answer for call in contract.calls}
    calls: list[Call] = []
    replaced: set[str] = set()
    for call in contract.calls:
        answer = call.answer
        if call.id in corrections.answers and answers.get(corrections.answers[call.id][0], answer) != answer:
            replaced.add(call.id)
            answer = answers[corrections.answers[call.id][0]]
        calls.append(
            replace(
                call,
                answer=_open(answer, corrections, used) if answer else None,
                arguments=tuple(fix(member, "path") for member in call.arguments),
                query=tuple(fix(member, "query") for member in call.query),
            )
        )
    schemas = {name: tuple(fix(member, name) for member in fields) for name, fields in contract.schemas.items()}
    problems = [
        *contract.problems,
        *stale("types", set(corrections.types) - used),
        *stale("anything", set(corrections.anything) - used),
        *stale("answers", set(corrections.answers) - replaced),
        *_of_operations(Contract(tuple(calls), schemas), corrections),
    ]
    return Contract(tuple(calls), schemas, problems)


def stale(table: str, keys: Iterable[str]) -> list[str]:
    """A line for each correction that corrects nothing."""
    return [
        f'no longer corrected: {table}["{key}"] changes nothing; take it out of corrections.py' for key in sorted(keys)
    ]


def plain_repeat(contract: Contract, call: Call) -> str:
    """Whether `call` may be sent again, by the rules alone."""
    found = repeat_of(call.method)
    versioned = any(member.name == "version" for member in contract.members(call.body))
    return "never" if found == "versioned" and not versioned else found


def of_resources(corrections: Corrections, resources: Iterable[str]) -> list[str]:
    """A line for each correction that names a resource which is not there."""
    known = set(resources)
    jobs = {key for key, (made_by, _) in corrections.statements.items() if {key, made_by} - known}
    return [
        *stale("class_names", set(corrections.class_names) - known),
        *stale("no_edit", set(corrections.no_edit) - known),
        *stale("anew", {key for key in corrections.anew if key.rpartition(".")[0] not in known}),
        *stale("jobs", set(corrections.jobs) - known),
        *stale("statements", jobs),
    ]


def _open(type_: Type, corrections: Corrections, used: set[str]) -> Type:
    if type_.name in corrections.anything:
        used.add(type_.name)
        return Type("any")
    return replace(
        type_,
        item=_open(type_.item, corrections, used) if type_.item else None,
        choices=tuple(_open(choice, corrections, used) for choice in type_.choices),
    )


def _of_operations(contract: Contract, corrections: Corrections) -> list[str]:
    calls = {call.id: call for call in contract.calls}
    by_rule = {
        name
        for name, (value, _) in corrections.repeat.items()
        if name in calls and plain_repeat(contract, calls[name]) == value
    }
    no_pages = {
        name
        for name in corrections.pages
        if name in calls and not any(member.name == "nextToken" for member in calls[name].query)
    }
    fields = {f"{name}.{member.name}" for name, members in contract.schemas.items() for member in members}
    tables: Mapping[str, Mapping[str, object]] = {
        "records": corrections.records,
        "pages": corrections.pages,
        "repeat": corrections.repeat,
        "scope": corrections.scope,
        "busy": corrections.busy,
        "files": corrections.files,
    }
    useless = {"repeat": by_rule, "pages": no_pages}
    lost = {name for name, (other, _) in corrections.records.items() if other not in calls}
    return [
        *(
            line
            for table in tables
            for line in stale(table, useless.get(table, set()) | set(tables[table]) - set(calls))
        ),
        *stale("records", lost & set(calls)),
        *stale("secrets", set(corrections.secrets) - fields),
    ]
