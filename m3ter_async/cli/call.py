"""``m3ter-async call``: any operation of the API, its answers as JSON lines with every number exact."""

from __future__ import annotations

import errno
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import anyio.to_thread
import msgspec
from msgspec import UNSET, Raw

from .._core.operation import Operation
from .._core.pipeline import Pipeline
from .._paging.paginator import Paginator
from ..errors import APIError, M3terError
from .client_options import BY_NAME, OPTIONS, connect, help_lines
from .console import PROGRAM, CommandFailed, as_text, complain, put, quoted, warnings_to
from .methods import Method, every, find
from .patience import Patience
from .signals import Stopped, run

T = TypeVar("T")

_HELP = f"""usage: {PROGRAM} call RESOURCE.METHOD [PATH-ARGUMENT ...] [--PARAMETER VALUE ...]

Call any operation of the API. The records of a listing are written to stdout as they come, one JSON line each, as the
service sent them; any other answer is one JSON line.

  --limit N      the most records of a listing
  --raw          the bytes that the service sent, also where they are no single line, or say more than is known here
  --list         all operations
  --help         with an operation: its parameters

the client (an operation that has a parameter of the same name takes it for that):
"""
_WIDTH, _INDENT = 110, " " * 36  # of what is said of a parameter
_FLAGS = {"--help", "--list", "--raw", *(each.name for each in OPTIONS if each.metavar is None)}
_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass
class _Line:
    """A command line, split up: what its options mean depends on the operation."""

    positional: list[str] = field(default_factory=lambda: [])
    options: dict[str, str] = field(default_factory=lambda: {})
    flags: set[str] = field(default_factory=lambda: set())


def main(arguments: Sequence[str]) -> int:
    """Run the command; its status is 0, or that of the failure it raises."""
    line = _split(arguments)
    if "--list" in line.flags:
        _write(f"{each.name:<44}  {each.documentation.splitlines()[0]}" for each in every())
    elif not line.positional:
        if "--help" not in line.flags:
            raise CommandFailed("call needs an operation, such as bills.list; call --list has them all")
        _write([*_HELP.splitlines(), *help_lines()])
    elif "--help" in line.flags:
        _write(_help(find(line.positional[0])))
    else:
        _call(line)
    return 0


def _split(arguments: Sequence[str]) -> _Line:
    line = _Line()
    rest = map(as_text, arguments)
    for each in rest:
        if each == "--":
            line.positional.extend(rest)
        elif each in _FLAGS or each == "-h":
            line.flags.add("--help" if each == "-h" else each)
        elif each.startswith("--"):
            option, given, text = each.partition("=")
            if not given and (text := next(rest, "--")).startswith("--"):
                raise CommandFailed(f"{option} needs a value; one that begins with -- is written {option}=--...")
            if option in line.options:
                raise CommandFailed(f"{option} is given twice")
            line.options[option] = text
        else:
            line.positional.append(each)
    return line


def _write(lines: Iterable[str]) -> None:
    put(sys.stdout, "".join(f"{line}\n" for line in lines))


def _help(method: Method) -> Sequence[str]:
    parameters = method.parameters.values()
    path = "".join(f" {each.name.upper()}" for each in parameters if each.positional)
    lines = [f"usage: {PROGRAM} call {method.name}{path} [--PARAMETER VALUE ...]", "", method.documentation, ""]
    for each in parameters:
        name = each.name.upper() if each.positional else each.option
        required = " (required)" if each.required and not each.positional else ""
        lines.append(f"  {name:<32}  {each.kind.words}{required}")
        if each.meaning:
            lines += textwrap.wrap(each.meaning, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    return lines


def _call(line: _Line) -> None:
    name, *positional = line.positional
    method = find(name)
    options = dict(line.options)
    of_client: dict[str, str | bool] = {name: True for name in line.flags if name in BY_NAME}
    of_client |= {name: options.pop(name) for name in BY_NAME if name in options and name not in method.parameters}
    limit = None
    if "--limit" not in method.parameters and "--limit" in options:
        text = options.pop("--limit")
        if not method.listing:
            raise CommandFailed(f"--limit is for listings, and {method.name} is none")
        if not (text.isascii() and text.isdecimal() and int(text)):
            raise CommandFailed("--limit must be a whole number from 1")
        limit = int(text)
    arguments = method.bind(positional, options)
    raw = "--raw" in line.flags
    watched: list[_Watched] = []
    patience = Patience(complain)

    async def work() -> None:
        async with connect(of_client, on_event=patience.take) as client, patience:
            client._pipeline = pipeline = _Watched(client._pipeline, raw=raw)
            watched.append(pipeline)
            try:
                result = find(method.name, client).call(**arguments)
                answer = result if method.listing else await result
            except (TypeError, ValueError) as error:  # of the arguments: nothing else of a call raises them
                raise CommandFailed(str(error)) from None
            if method.listing:
                await _stream(answer, limit, raw=raw)
            else:
                await _put(answer if isinstance(answer, Raw) else _encoder.encode(answer))

    try:
        with warnings_to(complain):
            run(work)
    except APIError as error:
        raise CommandFailed(f"{error}{_go_on(error, method)}", 1) from None
    except M3terError as error:  # such as a job that failed, or was not ready in time
        raise CommandFailed(str(error), 1) from None
    except Stopped as stopped:
        doubt = ", and the write may have taken effect: look before you repeat it"
        raise CommandFailed(f"stopped{doubt if watched and watched[0].writing else ''}", stopped.status) from None


def _go_on(error: APIError, method: Method) -> str:
    if not method.listing or error.next_token is None:
        return ""
    option = next(each for each in ("--next-token", "--from-document") if each in method.parameters)
    return f"; go on with {quoted([option, error.next_token])}"


async def _stream(listing: Paginator[Any], limit: int | None, *, raw: bool) -> None:
    """Write records as they come, a page at a time."""
    records = listing.raw()
    lines: list[bytes] = []
    count = 0
    async for record in records.records(limit=limit):
        lines.append(record if raw or b"\n" not in record else msgspec.json.format(record, indent=-1))
        count += 1
        if records.page_offset == 0 or count == limit:  # the last of its page
            await _put(b"\n".join(lines))
            lines.clear()
        if count == limit:
            break


async def _put(line: bytes | Raw) -> None:
    """Write to stdout beside the event loop: who reads it may take their time, and the next page is under way."""

    def write() -> None:
        if sys.stdout is None:  # it was closed before Python started
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        sys.stdout.buffer.writelines((line, b"\n"))
        sys.stdout.buffer.flush()

    await anyio.to_thread.run_sync(write, abandon_on_cancel=True)


class _Watched(Pipeline):
    """The pipeline of a client, which notes whether it writes and decodes no answer where that is asked for."""

    def __init__(self, pipeline: Pipeline, *, raw: bool) -> None:
        self.__dict__.update(vars(pipeline))
        self._raw = raw
        self.writing = False

    async def call(
        self, operation: Operation[T], path: Mapping[str, str], query: Mapping[str, Any], body: Any = UNSET
    ) -> T:
        """One call."""
        self.writing = operation.writes
        if self._raw and operation.answer not in (None, type(None), Any):
            operation = replace(operation, answer=Raw)
        return await super().call(operation, path, query, body)
