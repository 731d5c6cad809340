"""Which operation is which method: by the table, and by the conventions where the contract is ahead of the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .python_names import pascal, singular, snake
from .read_contract import Call, Contract, ContractError

Place = tuple[str, str]  # a resource and a method of it

_ONE = {"GET": "retrieve", "PUT": "update", "DELETE": "delete"}
_ALL = {"GET": "list", "POST": "create"}


def named_operations(table: Mapping[str, str], contract: Contract, problems: list[str]) -> dict[str, Place]:
    """Resource and method of every operation.

    What is in the contract and not in the table, or the other way round, is added to `problems`. New operations have
    the name that is suggested for them, so that everything else can be looked at too.
    """
    found = _by_operation(table)
    calls = {call.id: call for call in contract.calls}
    gone = {name: place for name, place in found.items() if name not in calls}
    known = {name: place for name, place in found.items() if name in calls}
    successors: dict[Place, str] = {}
    for call in contract.calls:
        if call.id in known:
            continue
        place = suggested(call, known, calls)
        known[call.id] = place
        resource, method = place
        line = f"new operation: {call.id} ({call.method} {call.path}) has no name; "
        line += f'suggested for operation_names.py: "{resource}": {method}={call.id}'
        if before := next((name for name, old in gone.items() if old == place), None):
            successors[place] = call.id
            line += f", in place of {before}"
        problems.append(line)
    for name, place in gone.items():
        line = f"gone operation: {name}; take {place[1]}={name} of {place[0]} out of operation_names.py"
        problems.append(line + (f", {successors[place]} may be the same one" if place in successors else ""))
    # in the order of the table, where it is there
    order = [*(name for name in found if name in known), *(name for name in known if name not in found)]
    return {name: known[name] for name in order}


def suggested(call: Call, known: Mapping[str, Place], calls: Mapping[str, Call]) -> Place:
    """What `call` would be called by the conventions, beside the operations that have their names."""
    parts = [part for part in call.path.split("/") if part and part not in ("organizations", "{orgId}")]
    resource, action = _home(parts, known, calls)
    if action:
        method = snake("_".join(action))
    else:
        at_one = parts[-1:] != [] and parts[-1].startswith("{")
        method = (_ONE if at_one else _ALL).get(call.method, "")
        if not at_one and call.method == "GET" and not any(member.name == "nextToken" for member in call.query):
            method = "retrieve"
    taken = set(known.values())
    words = snake(call.id).split("_")
    nouns = {word for part in resource.split(".") for word in (*part.split("_"), singular(part.split("_")[-1]))}
    plain = "_".join(word for word in words if word not in nouns) or snake(call.id)
    for name in (method, plain, snake(call.id)):
        if name and (resource, name) not in taken:
            return resource, name
    number = 2
    while (resource, f"{snake(call.id)}_{number}") in taken:
        number += 1
    return resource, f"{snake(call.id)}_{number}"


def suggested_model(name: str, taken: Iterable[str]) -> str:
    """What a schema without a usable name, or with one that is taken, could be called."""
    choices = [pascal(part).removesuffix("Response") for part in name.split("|")]
    plain = "Or".join(choices)
    names = (plain, pascal(name.replace("|", "_")), f"{plain}Model", f"The{plain}")
    used = set(taken)
    return next((found for found in names if found.isidentifier() and found not in used), f"Model{len(used)}")


def _by_operation(table: Mapping[str, str]) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for resource, entries in table.items():
        for entry in entries.split():
            method, operation = entry.split("=")
            if operation in found or (resource, method) in found.values():
                raise ContractError(f"operation_names.py has {resource}.{method}={operation} twice")
            found[operation] = (resource, method)
    return found


def _home(parts: list[str], known: Mapping[str, Place], calls: Mapping[str, Call]) -> tuple[str, list[str]]:
    """The resource whose paths are nearest above `parts`, or a new one, and what is left of the path: an action."""
    homes: dict[tuple[str, ...], str] = {}
    for name, (resource, method) in known.items():
        if method in ("list", "create", "retrieve", "update", "delete"):
            homes.setdefault(_fixed(calls[name].path), resource)
    fixed = [part for part in parts if not part.startswith("{")]
    for end in range(len(fixed), 0, -1):
        above = homes.get(tuple(fixed[:end]))
        if above is None:
            continue
        rest = fixed[end:]
        # /trees/{id}/nests/{nestId} is a collection of its own; /trees/{id}/prune is something done to a tree
        if rest and (parts[-1].startswith("{") or rest[-1].endswith("s")):
            return f"{above}.{snake(rest[-1])}", []
        return above, rest
    return snake("_".join(fixed[:1]) or "root"), fixed[1:]


def _fixed(path: str) -> tuple[str, ...]:
    parts = (part for part in path.split("/") if part and part != "organizations")
    return tuple(part for part in parts if not part.startswith("{"))
