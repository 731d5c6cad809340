"""A static HTTP/1.1 server that costs as little as possible: run as a process of its own, it prints its port.

The organization id in a path says how long the organization's lists are, so one server serves every size of work; with
a hyphen behind it, also how many milliseconds every page of them takes, and pages are small. Letters behind it say
more: `WAYS`. What stands before it, as in ``o7_``, only tells organizations apart.
Requests are not pipelined; anything unknown is a 404. What came in as measurements is only read when somebody asks for
it, after the clock has stopped.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections import defaultdict
from decimal import Decimal
from typing import Any, NamedTuple, cast

import msgspec

from benchmarks.data import Catalog, from_day

WAYS = {"z": "pages are compressed", "s": "bills have one line item", "f": "some requests are refused at first"}
SMALL = "small"  # bills of one line item

_ORGANIZATION = rb"/organizations/(?:o\d+_)?(\d+)(?:-(\d+))?([a-z]*)/"
_LIST = re.compile(_ORGANIZATION + rb"(bills|accounts|balances/[^/?]+/transactions)(?:\?(.*))?$")
_LATENCY = re.compile(rb"/organizations/\d+-(\d+)/")  # milliseconds before the answer
_SUBMIT = re.compile(rb"/organizations/(\d+)/measurements$")
_JOB = re.compile(_ORGANIZATION + rb"billjobs/([^/?]*(\d\d))$")
_RECEIVED = re.compile(rb"/received/(\d+)$")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_EXPECTED = re.compile(rb"/expected/(\w+)/(\d+)$")
_LARGEST = {b"bills": 100, b"accounts": 100}  # records of a page; 200 of anything else
_LARGEST_SLOW = 10
_LEVEL = 6  # of compression, as web servers do
_LOGIN = b'{"access_token":"benchmark-token","token_type":"Bearer","expires_in":18000}'
_TOO_MANY = (b"429 Too Many Requests", b"Retry-After: 0.05\r\n")
_UNAVAILABLE = (b"503 Service Unavailable", b"")
_REFUSED_GETS = {7: _TOO_MANY, 32: _UNAVAILABLE}  # of 50
_REFUSED_PAGES = {3: _TOO_MANY, 8: _UNAVAILABLE}  # of 10


class Page(NamedTuple):
    """A page of a list: from which record to which of so many."""

    start: int
    stop: int
    last: int
    length: int


class Inbox:
    """The bodies with measurements that each organization was sent."""

    def __init__(self) -> None:
        self.bodies: defaultdict[int, list[bytes]] = defaultdict(list)

    def take(self, organization: int) -> dict[str, Any]:
        """What came in since the last time: rows, the sum of a quantity, and how many had a uid of their own."""
        bodies = self.bodies.pop(organization, [])
        rows = [row for body in bodies for row in _measurements.decode(body)["measurements"]]
        amounts = sum((row.measure["bytes"] for row in rows), Decimal())
        return {"rows": len(rows), "amounts": str(amounts), "uids": len({row.uid for row in rows if row.uid})}


class _Measurement(msgspec.Struct):
    measure: dict[str, Decimal]
    uid: str | None = None


_measurements = msgspec.json.Decoder(dict[str, list[_Measurement]])


class Answers:
    """What is answered to a request, by its target alone: every run sees the same."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self._catalog, self._small = Catalog(), Catalog(line_items=1)
        self._packed: dict[tuple[bytes, Page], bytes] = {}
        self._refused: set[bytes] = set()

    def answer(self, target: bytes) -> bytes:
        """The whole answer, head and body."""
        if match := _JOB.match(target):
            if b"f" in match[3] and (refusal := self._refusal(target, _REFUSED_GETS.get(int(match[5]) % 50))):
                return refusal
            return _answer(b'{"id":"' + match[4] + self._catalog.bill_job)
        if match := _LIST.match(target):
            return self._list(target, match)
        if _SUBMIT.match(target):
            return _answer(b'{"result":"accepted"}')
        if target == b"/oauth/token":
            return _answer(_LOGIN)
        if match := _RECEIVED.match(target):
            return _answer(json.dumps(self.inbox.take(int(match[1]))).encode())
        if match := _EXPECTED.match(target):
            kind, count = match[1].decode(), int(match[2])
            catalog = self._small if kind == SMALL else self._catalog
            return _answer(json.dumps(catalog.expected(kind, count)).encode())
        return _answer(b"{}", b"404 Not Found")

    def _refusal(self, target: bytes, refusal: tuple[bytes, bytes] | None) -> bytes | None:
        """A refusal, if this is a request that is refused, and not its repeat."""
        if refusal is None or target in self._refused:
            self._refused.discard(target)
            return None
        self._refused.add(target)
        return _answer(b'{"message":"not now"}', *refusal)

    def _list(self, target: bytes, match: re.Match[bytes]) -> bytes:
        length, slow, ways, kind, query = match.groups(b"")
        largest = _LARGEST_SLOW if slow and kind == b"bills" else _LARGEST.get(kind, 200)
        page = _page(int(length), query, largest)
        refused = _REFUSED_PAGES.get(page.start // largest % 10) if b"f" in ways else None
        if refusal := self._refusal(target, refused):
            return refusal
        if b"z" not in ways:
            return b"".join(self._pieces(kind, page, small=b"s" in ways))
        if (kind, page) not in self._packed:  # each is compressed once, and then kept
            _, _, body = b"".join(self._pieces(kind, page, small=False)).partition(b"\r\n\r\n")
            self._packed[kind, page] = _answer(gzip.compress(body, _LEVEL), more=b"Content-Encoding: gzip\r\n")
        return self._packed[kind, page]

    def _pieces(self, kind: bytes, page: Page, *, small: bool) -> list[bytes]:
        catalog = self._small if small else self._catalog
        start, stop, last, length = page
        if kind == b"bills":
            records = catalog.bills(start, stop, length)
        else:
            records = catalog.accounts(start, stop) if kind == b"accounts" else catalog.transactions(start, stop)
        end = b'],"nextToken":"%d"}' % stop if stop < last else b"]}"
        size = len(b'{"data":[') + sum(map(len, records)) + len(end)
        return [_head(size), b'{"data":[', *records, end]


class StaticServer(asyncio.Protocol):
    """One connection."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._received = bytearray()
        self._whole = 0  # bytes that the request has, once that is known

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._whole:
            end = self._received.find(b"\r\n\r\n") + 4
            if end < 4:
                return
            length = _LENGTH.search(self._received, 0, end)
            self._head = end
            self._whole = end + (int(length[1]) if length else 0)
        if len(self._received) >= self._whole:
            target = bytes(self._received[: self._head]).split(b" ", 2)[1]
            if match := _SUBMIT.match(target):
                self._answers.inbox.bodies[int(match[1])].append(bytes(self._received[self._head :]))
            self._received, self._whole = bytearray(), 0
            answer = self._answers.answer(target)
            if match := _LATENCY.search(target):
                asyncio.get_running_loop().call_later(int(match[1]) / 1e3, self._transport.write, answer)
            else:
                self._transport.write(answer)


def _page(length: int, query: bytes, largest: int) -> Page:
    parameters = dict(pair.split(b"=", 1) for pair in query.split(b"&") if pair)
    first, last = 0, length
    if b"billDateEnd" in parameters:
        first = from_day(parameters[b"billDateEnd"], length)
    if b"billDateStart" in parameters:
        last = from_day(parameters[b"billDateStart"], length)
    start = int(parameters.get(b"nextToken", first))
    return Page(start, min(start + min(int(parameters.get(b"pageSize", 100)), largest), last), last, length)


def _answer(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return _head(len(body), status, more) + body


def _head(size: int, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n" % (status, more, size)


async def main() -> None:
    """Serve on a free loopback port until the process is ended."""
    answers = Answers()
    server = await asyncio.get_running_loop().create_server(lambda: StaticServer(answers), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
