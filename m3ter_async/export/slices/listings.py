"""The listings of the client by their dotted names, and what one needs before it can be read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from typing import Any, cast

from ..._core.operation import Operation
from ..._paging.paginator import Paginator
from ...client import AsyncM3ter
from ...resources._base import Resource, camel
from ...transports.protocol import Request, Response, TransportError
from .arguments import as_arguments, day

# The arguments of a listing that select by date: a half-open range, which can be cut into smaller ones.
DATES: Mapping[str, tuple[str, str]] = {"bills.list": ("bill_date_start", "bill_date_end")}
# What a listing need not send where only the ids of its records are asked for.
HEADS: Mapping[str, Mapping[str, str]] = {"bills.list": {"exclude_line_items": "true"}}
# What a record lacks unless it is asked for.
_ASKED_FOR = {"include_bill_total": "true"}
_PLACE = {"next_token", "from_document"}
PAGE_SIZE = "page_size"
IDS = "ids"


@dataclass(frozen=True)
class Listing:
    """A listing that can be read, one record after the other.

    Attributes:
        resource: Its name as it was asked for, such as ``balances.transactions``.
        method: Its method, from the client on: ``balances.transactions.list``.
        operation: What is asked of the service; its ``answer`` is one record.
        arguments: What every call of the method gets.
        parent: The listing over whose records it fans out, if it does.
        parent_argument: The argument that takes the id of such a record.
    """

    resource: str
    method: str
    operation: Operation[Any]
    arguments: Mapping[str, str]
    parent: Listing | None = None
    parent_argument: str | None = None

    @property
    def dates(self) -> tuple[str, str] | None:
        """The two arguments that select by date, or None where it cannot be cut that way."""
        names = DATES.get(self.method)
        if names is not None and names[0].removesuffix("_start") in self.arguments:
            return None
        return names

    @property
    def by_ids(self) -> bool:
        """Whether records of it can be asked for by their ids."""
        call = _method(unconnected(), self.method)
        return self.parent is None and IDS in _parameters(call) and IDS not in self.arguments

    @property
    def heads(self) -> Mapping[str, str]:
        """Its arguments where all but the lists in its records is asked for."""
        return {**self.arguments, **HEADS.get(self.method, {})}

    @property
    def table(self) -> str:
        """The table that its records go into."""
        parts = self.method.split(".")[:-1]
        return parts[-1]

    def narrowed(self, since: str | None, until: str | None) -> Listing:
        """The same from one date to another, half-open.

        Raises:
            ValueError: It has no dates to select by.
        """
        if since is None and until is None:
            return self
        if since is not None and until is not None and since >= until:
            raise ValueError(f"since must be before until, not {since} and {until}")
        if self.dates is not None:
            given = {name: when for name, when in zip(self.dates, (since, until), strict=True) if when is not None}
            if twice := sorted(set(given) & set(self.arguments)):
                raise ValueError(f"{twice[0]} is given twice")
            return replace(self, arguments={**self.arguments, **given})
        if self.parent is not None and self.parent.dates is not None:
            return replace(self, parent=self.parent.narrowed(since, until))
        raise ValueError(f"{self.resource} cannot be selected by since and until: leave them out")


class _Nowhere:
    """A transport of a client that is only looked at."""

    async def send(self, request: Request) -> Response:
        """Never."""
        raise TransportError("this client is for looking at", sent=False, final=True)

    async def aclose(self) -> None:
        """Nothing is open."""


def unconnected() -> AsyncM3ter:
    """A client that calls nothing, for those who want to know what the listings are."""
    return AsyncM3ter(token="none", org_id="none", base_url="http://127.0.0.1:1", transport=_Nowhere())


def paginator(client: AsyncM3ter, method: str, arguments: Mapping[str, str], token: str | None) -> Paginator[Any]:
    """The listing `method` from the page `token` on."""
    call = _method(client, method)
    given = as_arguments(call, arguments)
    if token is not None:
        by_offset = "from_document" in inspect.signature(call).parameters
        if by_offset and token.isdecimal():
            given["from_document"] = int(token)
        else:
            given["next_token"] = token
    return call(**given)


def find(client: AsyncM3ter, resource: str, where: Mapping[str, str]) -> Listing:
    """The listing of this name.

    Args:
        resource: ``bills`` for ``bills.list``, ``balances.transactions``, ``bills.search``.
        where: Arguments of the listing, or of the one that it fans out over.

    Raises:
        ValueError: There is none, it does not take such an argument, or it needs one that is missing.
    """
    call = _resolve(client, resource)
    if call is None:
        near = get_close_matches(resource, [name for name, _ in _all(client)], 3)
        hint = f"; near to it: {', '.join(near)}" if near else ""
        raise ValueError(f"{resource!r} is no listing of this API{hint}")
    method = resource if resource.rpartition(".")[2] == call.__name__ else f"{resource}.{call.__name__}"
    given = _given(call, where)
    missing = [name for name in _required(call) if name not in given]
    operation = _operation(call)
    _check_page_size(resource, operation, given)
    parent = None
    if len(missing) == 1:
        parent = _parent(client, operation, missing[0], where)
    if missing and parent is None:
        names = " and ".join(missing)
        raise ValueError(f"{resource} needs {names}: give it with where ({missing[0]}=...)")
    taken = {*given, *(parent.arguments if parent else ())}
    if unknown := sorted(set(where) - taken):
        near = get_close_matches(unknown[0], [*_parameters(call)], 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{resource} cannot be selected by {unknown[0]}{hint}")
    for name in DATES.get(method, ()):
        if name in given:
            given[name] = day(name, given[name])
    as_arguments(call, given)
    return Listing(resource, method, operation, given, parent, missing[0] if parent else None)


def _parent(client: AsyncM3ter, child: Operation[Any], argument: str, where: Mapping[str, str]) -> Listing | None:
    """The listing whose records have the ids that `argument` takes: its path is what comes before that id."""
    prefix, _, below = child.path.partition("/{" + camel(argument) + "}")
    if "{" in below:
        return None  # what is below another is not there for each of them
    for resource, call in _all(client):
        given = _given(call, where, asked_for=False)
        if set(_required(call)) <= set(given) and _operation(call).path == prefix:
            if PAGE_SIZE in given:
                largest = _operation(call).page_size
                given[PAGE_SIZE] = str(min(int(given[PAGE_SIZE]), largest or int(given[PAGE_SIZE])))
            method = f"{resource}.{call.__name__}" if call.__name__ == "list" else resource
            return Listing(resource, method, _operation(call), {**HEADS.get(method, {}), **given})
    return None


def _all(client: AsyncM3ter) -> Iterator[tuple[str, Callable[..., Paginator[Any]]]]:
    """Every listing by its shortest name."""

    def walk(value: object, path: str) -> Iterator[tuple[str, Callable[..., Paginator[Any]]]]:
        for kind in cast("tuple[type[object], ...]", type(value).__mro__):
            for name, member in vars(kind).items():
                if isinstance(member, cached_property):
                    yield from walk(getattr(value, name), f"{path}.{name}".strip("."))
                elif isinstance(value, Resource) and not name.startswith("_") and _is_listing(member):
                    yield path if name == "list" else f"{path}.{name}", getattr(value, name)

    yield from walk(client, "")


def _is_listing(member: object) -> bool:
    return inspect.isfunction(member) and str(member.__annotations__.get("return")).startswith("Paginator[")


def _resolve(client: AsyncM3ter, name: str) -> Callable[..., Paginator[Any]] | None:
    """The method of this name, or ``list`` of the resource of this name."""
    value: Any = client
    parts = name.split(".")
    for number, part in enumerate(parts, 1):
        member = _member(value, part)
        if isinstance(member, cached_property):
            value = getattr(value, part)
        elif isinstance(value, Resource) and _is_listing(member):
            return getattr(value, part) if number == len(parts) else None
        else:
            return None
    return getattr(value, "list", None) if _is_listing(_member(value, "list")) else None


def _member(value: object, name: str) -> object:
    """What the class of `value` has under a name, not yet bound and not yet computed."""
    return inspect.getattr_static(type(value), name, None)


def _method(client: AsyncM3ter, method: str) -> Callable[..., Paginator[Any]]:
    call = _resolve(client, method)
    if call is None:
        raise ValueError(f"{method!r} is no listing of this API")
    return call


def _parameters(call: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(call).parameters) - _PLACE


def _given(call: Callable[..., Any], where: Mapping[str, str], *, asked_for: bool = True) -> dict[str, str]:
    """Those of the arguments that a listing takes, and what is always asked for."""
    wanted = {**_ASKED_FOR, **where} if asked_for else where
    return {name: value for name, value in wanted.items() if name in _parameters(call)}


def _check_page_size(resource: str, operation: Operation[Any], given: Mapping[str, str]) -> None:
    size = given.get(PAGE_SIZE)
    if size is None:
        return
    largest = operation.page_size
    if not (size.isascii() and size.isdecimal() and int(size)) or (largest is not None and int(size) > largest):
        bound = f"from 1 to {largest}" if largest is not None else "from 1"
        raise ValueError(f"page_size of {resource} must be a whole number {bound}, not {size}")


def _required(call: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(call).parameters.values()
    return [each.name for each in parameters if each.default is inspect.Parameter.empty]


def _operation(call: Callable[..., Paginator[Any]]) -> Operation[Any]:
    # a paginator asks for nothing before it is iterated, so any id will do
    # a text that is a day as well
    return call(**dict.fromkeys(_required(call), "2000-01-01")).operation
