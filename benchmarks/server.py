"""A static HTTP/1.1 server that costs as little as possible: run as a process of its own, it prints its port.

The organization id in a path says how long the organization's lists are, so one server serves every size of work; with
a hyphen behind it, also how many milliseconds every page of them takes, and pages are small. With a ``z`` behind it,
pages are compressed; each is so once, and then kept.
Requests are not pipelined, and only measurements have a body; anything unknown is a 404. What came in as measurements
is only read when somebody asks for it, after the clock has stopped.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections import defaultdict
from decimal import Decimal
from typing import Any, cast

import msgspec

from benchmarks.data import Catalog, from_day

_LIST = re.compile(rb"/organizations/(\d+)(?:-(\d+))?(z)?/(?:(bills)|balances/[^/?]+/transactions)(?:\?(.*))?$")
_LATENCY = re.compile(rb"/organizations/\d+-(\d+)/")  # milliseconds before the answer
_SUBMIT = re.compile(rb"/organizations/(\d+)/measurements$")
_RECEIVED = re.compile(rb"/received/(\d+)$")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_EXPECTED = re.compile(rb"/expected/(\w+)/(\d+)$")
_PACKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
_LEVEL = 6  # as web servers do
_HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


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


class StaticServer(asyncio.Protocol):
    """One connection: canned answers by path."""

    def __init__(self, catalog: Catalog, inbox: Inbox, packed: dict[bytes, bytes]) -> None:
        self._catalog = catalog
        self._inbox = inbox
        self._received = bytearray()
        self._packed = packed
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
                self._inbox.bodies[int(match[1])].append(bytes(self._received[self._head :]))
            self._received, self._whole = bytearray(), 0
            answer = self._answer(target)
            if match := _LATENCY.search(target):
                asyncio.get_running_loop().call_later(int(match[1]) / 1e3, self._transport.write, answer)
            else:
                self._transport.write(answer)

    def _answer(self, target: bytes) -> bytes:
        path, _, identifier = target.rpartition(b"/billjobs/")
        if path:
            body = b'{"id":"' + identifier + self._catalog.bill_job
            return _HEAD % (b"200 OK", len(body)) + body
        if match := _LIST.match(target):
            largest = 100 if match[2] is None else 10
            bills, query = match[4] is not None, match[5] or b""
            if not match[3]:
                return self._page(int(match[1]), bills, query, largest)
            if target not in self._packed:
                _, _, page = self._page(int(match[1]), bills, query, largest).partition(b"\r\n\r\n")
                body = gzip.compress(page, _LEVEL)
                self._packed[target] = _PACKED % len(body) + body
            return self._packed[target]
        if _SUBMIT.match(target):
            return _HEAD % (b"200 OK", 21) + b'{"result":"accepted"}'
        if match := _RECEIVED.match(target):
            body = json.dumps(self._inbox.take(int(match[1]))).encode()
            return _HEAD % (b"200 OK", len(body)) + body
        if match := _EXPECTED.match(target):
            body = json.dumps(self._catalog.expected(match[1].decode(), int(match[2]))).encode()
            return _HEAD % (b"200 OK", len(body)) + body
        return _HEAD % (b"404 Not Found", 2) + b"{}"

    def _page(self, length: int, bills: bool, query: bytes, largest: int) -> bytes:
        parameters = dict(pair.split(b"=", 1) for pair in query.split(b"&") if pair)
        first, last = 0, length
        if b"billDateEnd" in parameters:
            first = from_day(parameters[b"billDateEnd"], length)
        if b"billDateStart" in parameters:
            last = from_day(parameters[b"billDateStart"], length)
        start = int(parameters.get(b"nextToken", first))
        stop = min(start + min(int(parameters.get(b"pageSize", 100)), largest if bills else 200), last)
        records = self._catalog.bills(start, stop, length) if bills else self._catalog.transactions(start, stop)
        end = b'],"nextToken":"%d"}' % stop if stop < last else b"]}"
        body_length = len(b'{"data":[') + sum(map(len, records)) + len(end)
        return b"".join((_HEAD % (b"200 OK", body_length), b'{"data":[', *records, end))


async def main() -> None:
    """Serve on a free loopback port until the process is ended."""
    catalog, inbox = Catalog(), Inbox()
    packed: dict[bytes, bytes] = {}
    server = await asyncio.get_running_loop().create_server(
        lambda: StaticServer(catalog, inbox, packed), "127.0.0.1", 0, backlog=512
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
