"""``m3ter-async call``: any operation of the API, its answers as JSON lines with every number exact."""

from __future__ import annotations

import errno
import os
import re
import shutil
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
from .console import PROGRAM, CommandFailed, as_text, complain, near, note, put, quoted, warnings_to
from .methods import Method, every, find
from .patience import Patience
from .signals import Stopped, run
from .tables import Table, fields

T = TypeVar("T")

_HELP = f"""usage: {PROGRAM} call RESOURCE.METHOD [PATH-ARGUMENT ...] [--PARAMETER VALUE ...]

Call any operation of the API. The records of a listing are written to stdout as they come: on a terminal as a table,
elsewhere one JSON line each, as the service sent them. Any other answer is one table, or one JSON line.

  --limit N        the most records of a listing
  --output FORMAT  table or json, wherever it goes
  --raw            the bytes that the service sent, also where they are no single line, or say more than is known here
  --verbose        tell of every request on stderr
  --list [NAME]    all operations, or those of a resource
  --help           with an operation: its parameters

the client (an operation that has a parameter of the same name takes it for that):
"""
_WIDTH, _INDENT = 110, " " * 36  # of what is said of a parameter
FLAGS = {"--help", "--list", "--raw", "--verbose", *(each.name for each in OPTIONS if each.metavar is None)}
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
        _write(_listed(*line.positional[:1]))
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
        elif each in FLAGS or each == "-h":
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


def _listed(resource: str = "") -> Sequence[str]:
    """A line for each operation of a resource, or for all."""
    path = f"{resource.replace('-', '_')}." if resource else ""
    found = [each for each in every() if each.name.startswith(path)]
    if not found:
        resources = {each.name.rpartition(".")[0] for each in every()}
        raise CommandFailed(f"there is no resource {resource!r}{near(resource, resources)}")
    return [f"{each.name:<44}  {each.documentation.splitlines()[0]}" for each in found]


def _help(method: Method) -> Sequence[str]:
    parameters = method.parameters.values()
    path = "".join(f" {each.name.upper()}" for each in parameters if each.positional)
    said = method.documentation.replace("``", "")  # which is for pages
    lines = [f"usage: {PROGRAM} call {method.name}{path} [--PARAMETER VALUE ...]", "", said, ""]
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
    raw = "--raw" in line.flags
    table = _table(options.pop("--output", None), raw=raw) if "--output" not in method.parameters else None
    arguments = method.bind(positional, options)
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
                raise CommandFailed(_by_option(str(error), method)) from None
            if method.listing:
                await _stream(answer, limit, table, raw=raw)
            else:
                written = answer if isinstance(answer, Raw) else _encoder.encode(answer)
                shown = None if table is None or isinstance(written, Raw) else fields(written)
                await _put(written if shown is None else shown)

    try:
        with warnings_to(complain, note if "--verbose" in line.flags else None):
            run(work)
    except APIError as error:
        raise CommandFailed(f"{error}{_go_on(error, method)}", 1) from None
    except M3terError as error:  # such as a job that failed, or was not ready in time
        raise CommandFailed(str(error), 1) from None
    except Stopped as stopped:
        doubt = ", and the write may have taken effect: look before you repeat it"
        raise CommandFailed(f"stopped{doubt if watched and watched[0].writing else ''}", stopped.status) from None


def _by_option(text: str, method: Method) -> str:
    """What is wrong with an argument, by the name that it has here."""
    name = re.match(r"\w+(?=[:.\[])", text)
    parameter = next((each for each in method.parameters.values() if name and each.name == name[0]), None)
    return text if name is None or parameter is None else parameter.option + text[name.end() :]


def _go_on(error: APIError, method: Method) -> str:
    if not method.listing or error.next_token is None:
        return ""
    option = next(each for each in ("--next-token", "--from-document") if each in method.parameters)
    return f"; go on with {quoted([option, error.next_token])}"


def _table(output: str | None, *, raw: bool) -> Table | None:
    """What shows the answers to people, if anybody is there to look at it."""
    if output not in (None, "table", "json"):
        raise CommandFailed("--output must be table or json")
    if output == "table" and raw:
        raise CommandFailed("--raw writes bytes, which --output table cannot show")
    on_terminal = sys.stdout is not None and sys.stdout.isatty() and not raw
    if output == "table" or (output is None and on_terminal):
        return Table(shutil.get_terminal_size().columns)
    return None


async def _stream(listing: Paginator[Any], limit: int | None, table: Table | None, *, raw: bool) -> None:
    """Write records as they come, a page at a time."""
    records = listing.raw()
    lines: list[bytes] = []
    count = 0
    async for record in records.records(limit=limit):
        lines.append(record if raw or b"\n" not in record else msgspec.json.format(record, indent=-1))
        count += 1
        if records.page_offset == 0 or count == limit:  # the last of its page
            await _put(b"\n".join(lines) if table is None else table.page(lines))
            lines.clear()
        if count == limit:
            break
    if table is not None and table.left_out:
        complain(f"{table.left_out} more fields did not fit: --output json has them all")


async def _put(line: bytes | Raw | str) -> None:
    """Write to stdout beside the event loop: who reads it may take their time, and the next page is under way."""

    def write() -> None:
        if isinstance(line, str):
            put(sys.stdout, f"{line}\n")
            sys.stdout.flush()
            return
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
