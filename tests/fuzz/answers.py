"""One answer of a server, whatever it says, on its way through the client: a value comes of it, or a `M3terError`."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from m3ter_async import APIError, AsyncM3ter, M3terError, TransportError
from m3ter_async.transports import decompression as inflating
from m3ter_async.transports.protocol import Request, Response

from ..fakes import KEY, SECRET, TOKEN, FakeTransport, client, grant

SECRETS = (KEY, SECRET, TOKEN)
MOST = 100_000  # bytes of a body
_LINE = re.compile(rb"([\w-]{1,40}): ?([^\r\n]{0,400})")


@dataclass(frozen=True)
class Sample:
    """An answer, and the call that it is an answer to."""

    call: str
    status: int
    headers: dict[str, str]
    body: bytes


def parse(data: bytes) -> Sample:
    """Any bytes as a sample: a line ``CALL STATUS``, headers, an empty line and the body, as far as they are there."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    name, _, status = first.partition(b" ")
    fields = [match for match in map(_LINE.fullmatch, lines) if match]
    return Sample(
        name.decode() if name in _NAMES else list(CALLS)[sum(name) % len(CALLS)],
        int(status) if re.fullmatch(rb"[1-9]\d\d", status) else 200,
        {match[1].decode().lower(): match[2].decode("latin-1") for match in fields},
        body,
    )


async def _rows(m3ter: AsyncM3ter) -> list[Any]:
    return [bill async for bill in m3ter.bills.list()]


async def _pages(m3ter: AsyncM3ter) -> list[Any]:
    return [bill async for page in m3ter.bills.list().pages() for bill in page.data]


async def _search(m3ter: AsyncM3ter) -> Any:
    return await m3ter.bills.search(search_query="status:PENDING")


CALLS: dict[str, Callable[[AsyncM3ter], Awaitable[Any]]] = {
    "read": lambda m3ter: m3ter.bills.retrieve("b1"),
    "rows": _rows,
    "pages": _pages,
    "raw": lambda m3ter: m3ter.bills.list().raw().collect(),
    "search": _search,
    "any": lambda m3ter: m3ter.request("GET", "/x"),
    "dict": lambda m3ter: m3ter.request("GET", "/x", type=dict),
    "post": lambda m3ter: m3ter.balances.transactions.create("e", amount=1),
    "put": lambda m3ter: m3ter.request("PUT", "/x/1", body={"version": 1}),
    "delete": lambda m3ter: m3ter.balances.delete("e"),
    "login": lambda m3ter: m3ter.bills.retrieve("b1"),
}
_NAMES = {name.encode() for name in CALLS}
_LISTS = {"rows", "pages", "raw"}
_WRITES = {"post", "put", "delete"}
_REFUSALS = (425, 429)
_HALVINGS = 8  # of a page of 200


async def check(sample: Sample) -> str:
    """Send `sample` through the client and look at what comes of it.

    Returns:
        The kind of what came: a value's type, or an error's.

    Raises:
        AssertionError: A promise was broken.
        Exception: Anything else than a `M3terError` left the client.
    """

    async def serve(_: Request) -> Response | TransportError:
        encoding = sample.headers.get("content-encoding", "")
        try:
            content = await inflating.read(_Chunks(sample.body), encoding, MOST)
        except TransportError as error:
            return error
        return Response(sample.status, sample.headers, content)

    transport = FakeTransport(serve, login=serve if sample.call == "login" else lambda _: grant())
    log = _Lines()
    with log:
        result = await _send(sample, transport)
    assert log.lines
    assert all(line.isprintable() for line in log.lines)
    assert not _leaked(" ".join(log.lines), sample)
    sent = transport.logins if sample.call == "login" else transport.requests
    # a certain refusal is repeated as long as there is time, and a page that is too much is asked for in parts
    most = 120 if sample.status in _REFUSALS else 4 * _HALVINGS if sample.call in _LISTS else 4
    assert 1 <= len(sent) <= most, "a call is sent twice, and once more with another token; a listing has two pages"
    assert not transport.in_flight
    return result


class _Lines(logging.Handler):
    """What the client logs, while it is entered; nobody else hears it then."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._logger = logging.getLogger("m3ter_async")
        self._before = self._logger.level, self._logger.propagate

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self) -> None:
        self._logger.addHandler(self)
        self._logger.setLevel(logging.DEBUG)
        self._logger.propagate = False

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        level, self._logger.propagate = self._before
        self._logger.setLevel(level)


async def _send(sample: Sample, transport: FakeTransport) -> str:
    async with client(transport, max_retries=1, max_response_bytes=MOST) as m3ter:
        try:
            value = await CALLS[sample.call](m3ter)
        except M3terError as error:
            _check_error(error, sample)
            return type(error).__name__
        _check_value(value, sample)
        return type(value).__name__


class _Chunks:
    """A body as it comes in: no generator, of which trio complains when reading breaks off."""

    def __init__(self, body: bytes) -> None:
        self._left = [body[start : start + 1000] for start in range(0, len(body), 1000)]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop(0)


def _leaked(shown: str, sample: Sample) -> list[str]:
    known = SECRETS[:2] if sample.call == "login" else SECRETS  # what no login has brought is a text like any other
    return [secret for secret in known if secret in shown]


def _check_error(error: M3terError, sample: Sample) -> None:
    assert isinstance(error, APIError)
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
    shown = f"{error} {error!r} {vars(error)}"
    assert not _leaked(shown, sample)
    assert str(error).isprintable()
    assert len(str(error)) < 3_000
    assert len(error.body) <= 65_536
    assert sample.call in _WRITES or not error.outcome_unknown
    if sample.call == "login":
        assert error.path == "/oauth/token"
        assert "access_token" not in repr(error.body)


def _check_value(value: Any, sample: Sample) -> None:
    assert 200 <= sample.status < 300 or sample.call == "delete"
    if sample.call in _LISTS and "content-encoding" not in sample.headers:
        page = _json(sample.body)
        if page is not None:
            assert not page.get("nextToken"), "the end came before the end"
            assert len(value) == len(page["data"])
            if sample.call == "raw":
                assert [_json(row) for row in value] == page["data"]


def _json(text: bytes) -> Any:
    """What another reader makes of it; None where that one has limits of its own."""
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError):
        return None
