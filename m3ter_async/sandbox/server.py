"""HTTP: a request in, a checked call to a handler, an answer or a refusal out."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from typing import Final
from urllib.parse import parse_qsl
from uuid import uuid4

import msgspec
from aiohttp import web

from m3ter_async.sandbox import adjustments, balances, bills, downloads, jobs, search
from m3ter_async.sandbox.auth import Access, RateLimit
from m3ter_async.sandbox.calls import Call, Handler, World
from m3ter_async.sandbox.contract import ROUTES
from m3ter_async.sandbox.crud import Collections
from m3ter_async.sandbox.data import Row
from m3ter_async.sandbox.problem import Problem
from m3ter_async.sandbox.router import Router
from m3ter_async.sandbox.schema import Route
from m3ter_async.sandbox.store import BILLS
from m3ter_async.sandbox.validate import check_body, check_query

TOKEN_OPERATION: Final = "GenerateToken"
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
ENCODER: Final = msgspec.json.Encoder(decimal_format="number")

# What no path shape tells; these go before the generic handlers.
SPECIAL: Final[dict[str, Handler]] = {
    **bills.HANDLERS,
    **adjustments.HANDLERS,
    **balances.HANDLERS,
    **jobs.HANDLERS,
    **downloads.HANDLERS,
    "SearchBills": search.search_bills,
}
HANDLERS: Final[dict[str, Handler]] = {**Collections({BILLS: bills.with_lines}).handlers(ROUTES), **SPECIAL}
ROUTER: Final = Router(ROUTES)


class Server:
    """Answers the requests of one sandbox."""

    def __init__(self, world: World, access: Access, limit: RateLimit, latency: float, retry_after: int | None) -> None:
        self.requests: Counter[str] = Counter()
        self._world = world
        self._access = access
        self._limit = limit
        self._latency = latency
        self._retry_after = retry_after

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        headers = {"x-amzn-requestid": str(uuid4())}
        status, content_type = 200, JSON
        try:
            if request.raw_path.startswith(downloads.PREFIX):
                content_type, body = self._download(request)
            else:
                body = ENCODER.encode(await self._call(request))
        except Problem as problem:
            status, body = problem.status, ENCODER.encode({"message": problem.message})
            if status == 429 and self._retry_after is not None:
                headers["Retry-After"] = str(self._retry_after)
        # Only now: a caller that gives up waiting must find, as with the real service, that its write took effect.
        if self._latency:
            await asyncio.sleep(self._latency)
        return web.Response(status=status, body=body, content_type=content_type, headers=headers)

    def _download(self, request: web.BaseRequest) -> tuple[str, bytes]:
        if request.method != "GET":
            raise Problem(405, f"method: {request.method} is not allowed on this path")
        return downloads.fetch(self._world, request.raw_path, "Authorization" in request.headers)

    async def _call(self, request: web.BaseRequest) -> object:
        raw_path, _, query = request.raw_path.partition("?")
        route, path = ROUTER.match(request.method, raw_path)
        self.requests[route.operation] += 1
        body = await _read(request)
        authorization = request.headers.get("Authorization")
        if route.operation == TOKEN_OPERATION:
            _check_body(route, request.content_type, body, self._world)
            return self._access.issue(authorization)
        self._access.check(authorization, path.get("orgId", ""))
        self._limit.admit()
        values = check_query(route.query, parse_qsl(query, keep_blank_values=True))
        call = Call(route, path, values, _check_body(route, request.content_type, body, self._world))
        handler = HANDLERS.get(route.operation)
        if handler is None:
            raise Problem(501, f"{route.operation}: not served by the sandbox")
        return handler(self._world, call)


async def _read(request: web.BaseRequest) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Problem(413, "body: too large") from None


def _check_body(route: Route, content_type: str, body: bytes, world: World) -> Row:
    if route.body is None:
        if body:
            raise Problem(400, "body: this operation takes none")
        return {}
    if not body:
        if route.body.required:
            raise Problem(400, "body: missing")
        return {}
    value: object
    if content_type == FORM and route.operation == TOKEN_OPERATION:
        value = dict(parse_qsl(body.decode(errors="replace")))
    elif content_type == JSON:
        try:
            value = DECODER.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Problem(400, f"body: not JSON, {error}") from None
    else:
        raise Problem(400, f"Content-Type: {content_type} is not {JSON}")
    checked = check_body(value, route.body, world.schemas)
    # A preview describes what may exist already; what is created has no version yet.
    if route.method == "POST" and checked.get("version") is not None and not route.operation.startswith("Preview"):
        raise Problem(400, "version: not allowed on create")
    return checked
