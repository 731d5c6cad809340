"""`python -m benchmarks.sync`: what a sync of bills costs: requests, bytes, seconds, and the most memory that it takes.

The service is a process of its own, and so is each sync, which begins with what the last one stored.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any, cast
from urllib.request import urlopen
from uuid import UUID

ORG = "bench"
_PAGE = 100
_A_DAY = 150  # bills of one day


class _Service:
    """So many bills, the newest first; those that are not locked are the newest.

    Args:
        bills: How many.
        unlocked: How many of them are not locked.
    """

    def __init__(self, bills: int, unlocked: int) -> None:
        self._head, self._lines = _template()
        self._count = bills
        self._versions = [1] * bills
        self._locked = bytearray(b"\0" * unlocked + b"\1" * (bills - unlocked))
        self._gone: set[int] = set()
        self._new: list[int] = []  # the oldest first; they stand before all others
        self.requests = 0
        self.sent = 0

    def change(self, changed: int) -> None:
        """So many bills change in one way or another."""
        unlocked = [place for place in range(self._count) if not self._locked[place] and place not in self._gone]
        step = max(1, len(unlocked) // changed)
        for turn, place in enumerate(unlocked[::step][:changed]):
            if turn % 10 == 7:
                self._gone.add(place)
                continue
            if turn % 10 == 8:
                self._locked[place] = 1
            if turn % 10 == 9:
                self._new.append(len(self._versions))
                self._versions.append(1)
                self._locked.append(turn % 20 == 9)
                continue
            self._versions[place] += 1

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        """The body for a request; empty for a 404."""
        self.requests += 1
        parts = path.split("/")[3:]
        if parts == ["billconfig"]:
            return b'{"id":"%b","version":1,"billLockDate":"2024-01-01"}' % ORG.encode()
        if parts[1:] == ["search"]:
            first = int(query.get("fromDocument", "0"))
            return self._page(self._new[first : first + int(query["pageSize"])], whole=True)
        if len(parts) == 2:
            place = UUID(parts[1]).int
            return b"" if place in self._gone else self._bill(place, whole=True)
        if "ids" in query:
            places = [UUID(id).int for id in query["ids"].split(",")]
            return self._page([place for place in places if place not in self._gone], whole=True)
        return self._list(query)

    def _list(self, query: dict[str, str]) -> bytes:
        if "billDateStart" in query or "billDateEnd" in query:
            return self._of_days(query)
        first = int(query.get("nextToken", -len(self._new)))
        found: list[int] = []
        for at in range(first, self._count):
            place = self._new[-at - 1] if at < 0 else at
            if place in self._gone or (query.get("locked") == "false" and self._locked[place]):
                continue
            if len(found) == _PAGE:
                return self._page(found, whole=query.get("excludeLineItems") != "true", token=str(at))
            found.append(place)
        return self._page(found, whole=query.get("excludeLineItems") != "true")

    def _of_days(self, query: dict[str, str]) -> bytes:
        """A range of bill dates: a hundred and fifty bills are of each day, and the newest are of today."""
        today = datetime.now(UTC).date()
        start, end = (query.get(name) for name in ("billDateStart", "billDateEnd"))
        low = 0 if end is None else max(0, (today - date.fromisoformat(end)).days + 1) * _A_DAY
        high = self._count if start is None else max(0, (today - date.fromisoformat(start)).days + 1) * _A_DAY
        high = min(high, self._count)
        first = int(query.get("nextToken", low))
        found = list(range(first, min(first + _PAGE, high)))
        token = str(first + _PAGE) if first + _PAGE < high else None
        return self._page([place for place in found if place not in self._gone], whole=True, token=token)

    def _bill(self, place: int, *, whole: bool) -> bytes:
        head = self._head % (
            str(UUID(int=place)).encode(),
            self._versions[place],
            b"false true".split()[self._locked[place]],
        )
        return head + (self._lines if whole else b"}")

    def _page(self, places: list[int], *, whole: bool, token: str | None = None) -> bytes:
        end = b"]}" if token is None else b'],"nextToken":"%b"}' % token.encode()
        return b'{"data":[' + b",".join(self._bill(place, whole=whole) for place in places) + end


def _template() -> tuple[bytes, bytes]:
    """A bill of the sandbox: its head with places for what differs, and its line items."""
    from m3ter_async import AsyncM3ter
    from m3ter_async.sandbox import Sandbox

    async def one() -> bytes:
        with Sandbox(bills=1) as box:
            async with AsyncM3ter(box.api_key, box.api_secret, box.org_id, base_url=box.url) as m3ter:
                return (await m3ter.bills.list(include_bill_total=True).raw().collect())[0]

    bill: dict[str, Any] = json.loads(asyncio.run(one()), parse_float=str)
    lines = json.dumps(bill.pop("lineItems")).encode()
    for name in ("id", "version", "locked"):
        bill.pop(name)
    rest = json.dumps(bill).encode().replace(b"%", b"%%")[1:-1]
    return b'{"id":"%b","version":%d,"locked":%b,' + rest, b',"lineItems":' + lines + b"}"


def serve(bills: int, unlocked: int) -> None:
    """Be the service, until the process ends; the first line that is printed is its port."""
    from aiohttp import web

    service = _Service(bills, unlocked)

    async def handle(request: web.BaseRequest) -> web.Response:
        if request.path == "/oauth/token":
            return web.json_response({"access_token": "bench", "token_type": "Bearer", "expires_in": 18_000})
        if request.path == "/change":
            service.change(int(request.query["changed"]))
            return web.Response()
        if request.path == "/counts":
            counts = {"requests": service.requests, "bytes": service.sent}
            service.requests = service.sent = 0
            return web.json_response(counts)
        body = service.answer(request.path, dict(request.query))
        service.sent += len(body)
        date = format_datetime(datetime.now(UTC), usegmt=True)
        headers = {"Content-Type": "application/json", "Date": date}
        return web.Response(body=body or b'{"message":"none"}', status=200 if body else 404, headers=headers)

    async def run() -> None:
        runner = web.ServerRunner(web.Server(handle))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server = cast(asyncio.Server, site._server)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


def sync(port: int, mark: Path, *, arrow: bool) -> None:
    """One sync, which prints what it did."""
    from m3ter_async import AsyncM3ter
    from m3ter_async.sync import Known, changes

    async def run() -> dict[str, Any]:
        began = time.perf_counter()
        upserts = deletes = 0
        url = f"http://127.0.0.1:{port}"
        async with AsyncM3ter("key", "secret", ORG, base_url=url, rate_limit=None) as m3ter:
            async for change in changes(m3ter, "bills", known, arrow=arrow):
                upserts += len(change.ids)
                deletes += len(change.deletes)
        seconds = time.perf_counter() - began
        return {"known": len(known), "upserts": upserts, "deletes": deletes, "seconds": seconds}

    known = Known(mark.read_bytes() if mark.exists() else None)
    found = asyncio.run(run())
    mark.write_bytes(known.mark)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**found, "peak": peak, "mark": mark.stat().st_size}))


def main() -> None:
    """Measure, and print a row for each sync."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sync", description=__doc__)
    parser.add_argument("--bills", type=int, default=3_000)
    parser.add_argument("--unlocked", type=int, default=1_000)
    parser.add_argument("--changed", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", action="store_true", help="records as bytes, without Arrow tables")
    parser.add_argument("--as-server", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--as-sync", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--mark", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.as_server:
        return serve(arguments.bills, arguments.unlocked)
    if arguments.as_sync is not None:
        return sync(arguments.as_sync, arguments.mark, arrow=not arguments.records)
    me = [sys.executable, "-m", "benchmarks.sync"]
    size = [f"--bills={arguments.bills}", f"--unlocked={arguments.unlocked}"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([*me, "--as-server", *size], stdout=subprocess.PIPE, text=True) as service,
    ):
        assert service.stdout is not None
        port = service.stdout.readline().strip()
        print("sync | upserts | deletes | requests | MB | seconds | peak MB | mark, bytes a bill")
        for round in range(arguments.rounds + 1):
            if round:
                urlopen(f"http://127.0.0.1:{port}/change?changed={arguments.changed}").close()
            mine = [f"--as-sync={port}", f"--mark={folder}/mark", *(["--records"] if arguments.records else [])]
            done = subprocess.run([*me, *mine], stdout=subprocess.PIPE, check=True)
            found = json.loads(done.stdout)
            with urlopen(f"http://127.0.0.1:{port}/counts") as counts:
                sent = json.load(counts)
            print(
                f"{round or 'first'} | {found['upserts']} | {found['deletes']} | {sent['requests']} | "
                f"{sent['bytes'] / 1e6:.2f} | {found['seconds']:.2f} | {found['peak']:.0f} | "
                f"{found['mark'] / max(1, found['known']):.0f}",
                flush=True,
            )
        service.kill()
    return None


if __name__ == "__main__":
    main()
