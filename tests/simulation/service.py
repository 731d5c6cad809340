"""The service: what it holds, and what it did; it is asked through `Wire` and keeps the truth for the invariants."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from m3ter_async.transports.protocol import Request

LIMIT = 50  # requests a second and organization
_MOST_JOBS = 2  # that were started here and run at once, in an organization
KEY, SECRET = "key-of-the-world", "secret-of-the-world"


@dataclass(slots=True)
class Answer:
    """What the service says; `headers` are found by lower-case names."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Entity:
    """A versioned account, and whose change it shows; `stored` is all that the last change said."""

    version: int = 1
    name: str = "first"
    stored: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Job:
    """A bill job: what it becomes, and when."""

    ends: float
    state: str


@dataclass(slots=True)
class Rules:
    """How this world's service behaves.

    Attributes:
        token_life: Seconds.
        told_life: What it says of that; None says nothing.
        ended_status: What it answers to a token that ended.
        good_credentials: Whether it takes the key and secret of this world.
        retry_after: How a 429 says when to come back: not at all, in seconds, or as a date.
        limit: Requests that it takes in a second, for each organization.
        others: Requests that other clients make, second by second, over and over.
        page: Rows of a page.
        tail: How the last page says that it is the last.
    """

    token_life: float = 18_000.0
    told_life: float | None = 18_000.0
    ended_status: int = 403
    good_credentials: bool = True
    retry_after: str = "none"
    limit: int = LIMIT
    others: list[int] = field(default_factory=lambda: [0])
    page: int = 5
    tail: str = "absent"


class Service:
    """Some organizations, with a rate limit each.

    Attributes:
        applied: How often each write took effect, by the name that its caller gave it.
        uids: How often each measurement was accepted; the service counts it once.
        entities: By organization and id.
        rows: The ids of each listing, in order, by organization and resource.
    """

    def __init__(self, rules: Rules, orgs: list[str], chance: random.Random, wall: Callable[[], float]) -> None:
        self.rules = rules
        self._wall = wall
        self.applied: Counter[str] = Counter()
        self.uids: Counter[str] = Counter()
        self.entities: dict[tuple[str, str], Entity] = {}
        self.jobs: dict[str, Job] = {}
        self.tokens: dict[str, float] = {}
        self._used: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.rows: dict[tuple[str, str], list[str]] = {}
        self._started: defaultdict[str, list[float]] = defaultdict(list)
        self._gaps: dict[tuple[str, str], set[int]] = {}
        for org in orgs:
            for resource in ("accounts", "bills"):
                count = chance.choice((0, 1, rules.page, 23, 40))
                self.rows[org, resource] = [f"{resource}-{org}-{index}" for index in range(count)]
                # an empty page before this row, with a token all the same
                self._gaps[org, resource] = {index for index in range(count) if chance.random() < 0.1}

    def revoke(self) -> None:
        """End every token before its time."""
        self.tokens = dict.fromkeys(self.tokens, 0.0)

    def handle(self, request: Request, now: float) -> Answer:
        """Take one request and do what it says."""
        parts = urlsplit(request.url)
        path = parts.path.strip("/").split("/")
        if path[0] == "oauth":
            return self._login(request, now)
        org, resource, *rest = path[1:]
        if (refused := self._access(request, now)) or (refused := self._limited(org, resource, now)):
            return refused
        if resource == "measurements":
            return self._measurements(request)
        if resource == "billjobs":
            return self._job(rest[0], now) if rest else self._start(request, org, now)
        if resource == "balances":
            return self._transaction(request)
        if not rest:
            return self._list(org, resource, parse_qs(parts.query))
        return self._entity(request, org, rest[0])

    def throttled(self, seconds: float) -> Answer:
        """A 429 that asks to come back after so long, in the way of this world."""
        headers = {"date": formatdate(self._wall(), usegmt=True)}
        if self.rules.retry_after == "seconds":
            headers["retry-after"] = str(round(seconds))
        elif self.rules.retry_after == "date":
            headers["retry-after"] = formatdate(self._wall() + round(seconds), usegmt=True)
        return Answer(429, b'{"message":"Too Many Requests"}', headers)

    def _login(self, request: Request, now: float) -> Answer:
        if not self.rules.good_credentials:
            return Answer(401, b'{"message":"Bad credentials"}')
        token = f"token-{len(self.tokens)}-of-the-world"
        self.tokens[token] = now + self.rules.token_life
        grant: dict[str, Any] = {"access_token": token, "token_type": "Bearer"}
        if self.rules.told_life is not None:
            grant["expires_in"] = self.rules.told_life
        return Answer(200, msgspec.json.encode(grant))

    def _access(self, request: Request, now: float) -> Answer | None:
        ends = self.tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if ends is not None and now < ends:
            return None
        status = 401 if ends is None or ends == 0.0 else self.rules.ended_status
        return Answer(status, b'{"message":"Unauthorized"}')

    def _limited(self, org: str, resource: str, now: float) -> Answer | None:
        second = int(now)
        scope = f"{org}/ingest" if resource == "measurements" else org
        self._used[scope, second] += 1
        others = self.rules.others[second % len(self.rules.others)]
        return self.throttled(1.0) if self._used[scope, second] + others > self.rules.limit else None

    def _measurements(self, request: Request) -> Answer:
        for each in msgspec.json.decode(request.content or b"{}")["measurements"]:
            self.uids[each["uid"]] += 1
        return Answer(200, b'{"result":"accepted"}')

    def _job(self, name: str, now: float) -> Answer:
        job = self.jobs.get(name)
        if job is None:
            return Answer(404, b'{"message":"no such job"}')
        status = job.state if now >= job.ends else "RUNNING"
        return Answer(200, msgspec.json.encode({"id": name, "status": status}))

    def _start(self, request: Request, org: str, now: float) -> Answer:
        ends = self._started[org]
        if sum(now < each for each in ends) >= _MOST_JOBS:
            return Answer(429, b'{"message":"too many jobs run"}')
        name = msgspec.json.decode(request.content or b"{}")["timezone"]
        self.applied[name] += 1
        ends.append(now + 20.0)
        return Answer(200, msgspec.json.encode({"id": f"job-{name}", "status": "PENDING"}))

    def _transaction(self, request: Request) -> Answer:
        name = msgspec.json.decode(request.content or b"{}")["description"]
        self.applied[name] += 1
        return Answer(200, msgspec.json.encode({"id": f"id-{name}", "description": name}))

    def _list(self, org: str, resource: str, query: dict[str, list[str]]) -> Answer:
        rows, gaps, size = self.rows[org, resource], self._gaps[org, resource], self.rules.page
        start, _, after_gap = query.get("nextToken", ["0"])[0].partition("!")
        begin = int(start)
        if begin in gaps and not after_gap:
            return Answer(200, msgspec.json.encode({"data": [], "nextToken": f"{begin}!gap"}))
        end = begin + size
        page: dict[str, Any] = {"data": [{"id": row, "version": 1} for row in rows[begin:end]]}
        if end < len(rows):
            page["nextToken"] = str(end)
        elif self.rules.tail != "absent":
            page["nextToken"] = None if self.rules.tail == "null" else ""
        return Answer(200, msgspec.json.encode(page))

    def _entity(self, request: Request, org: str, name: str) -> Answer:
        if name.startswith("forbidden"):
            return Answer(403, b'{"message":"Forbidden"}')
        if name.startswith("missing") or (name.startswith("gone") and self.applied[name]):
            return Answer(404, b'{"message":"Not found"}')
        if request.method == "DELETE":
            self.applied[name] += 1
            return Answer(200, msgspec.json.encode({"id": name, "version": 1, "name": "deleted"}))
        entity = self.entities.setdefault((org, name), Entity())
        if request.method == "PUT":
            body = msgspec.json.decode(request.content or b"{}")
            if body.get("version") != entity.version:
                return Answer(409, b'{"message":"version"}')
            entity.version += 1
            entity.name, entity.stored = body["name"], body
            self.applied[entity.name] += 1
        if request.method in ("HEAD", "OPTIONS"):
            return Answer(200)
        return Answer(
            200, msgspec.json.encode({**entity.stored, "id": name, "version": entity.version, "name": entity.name})
        )
