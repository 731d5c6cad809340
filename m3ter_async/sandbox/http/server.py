"""HTTP: a request in, a checked call to a handler, an answer or a refusal out."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from email.utils import format_datetime
from typing import Final, NamedTuple
from urllib.parse import parse_qsl
from uuid import uuid4

import msgspec
from aiohttp import web

from m3ter_async.sandbox.call_context import Call, World
from m3ter_async.sandbox.contract import Route, Row
from m3ter_async.sandbox.contract.validation import check_body, check_query
from m3ter_async.sandbox.exact_numbers import DECODER, ENCODER
from m3ter_async.sandbox.files.presigned_urls import DOWNLOADS, MOST_UPLOAD_BYTES, UPLOADS
from m3ter_async.sandbox.files.uploads import accept
from m3ter_async.sandbox.handlers.downloads import fetch
from m3ter_async.sandbox.handlers.events import tell_changes
from m3ter_async.sandbox.handlers.registry import HANDLERS
from m3ter_async.sandbox.http.credentials import Access
from m3ter_async.sandbox.http.faults import TOO_MANY_REQUESTS, Fault, FaultInjector, Faults
from m3ter_async.sandbox.http.rate_limit import RateLimit
from m3ter_async.sandbox.http.router import ROUTER
from m3ter_async.sandbox.refusal import Refusal
from m3ter_async.sandbox.rules.versions import check_no_version

TOKEN_OPERATION: Final = "GenerateToken"
# Measurements are the only bodies with a limit of their own; to reach it is, as documented, a 403.
INGEST_OPERATION: Final = "SubmitMeasurements"
TOO_MANY_INGEST_BYTES: Final = 512_000
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


class Answer(NamedTuple):
    """What goes back: a status, a content type and the bytes of the body."""

    status: int
    content_type: str
    body: bytes


class Server:
    """Answers the requests of one sandbox."""

    def __init__(
        self,
        world: World,
        access: Access,
        limit: RateLimit,
        latency: float,
        retry_after: int | None,
        faults: Faults,
    ) -> None:
        self.requests: Counter[str] = Counter()
        self.fault_injector: FaultInjector = FaultInjector(faults)
        self._world = world
        self._access = access
        self._limit = limit
        self._latency = latency
        self._retry_after = retry_after
        self._anywhere = False

    def reached_at(self, url: str, *, anywhere: bool) -> None:
        """Say where the service is.

        Args:
            url: By which this machine reaches it.
            anywhere: Whether others may reach it by other names; then URLs of files have the name that was called.
        """
        self._world.url = url
        self._anywhere = anywhere

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, or let it fail as ordered."""
        headers = {"x-amzn-requestid": str(uuid4())}
        fault: Fault | None = None
        try:
            route, path = self._match(request)
            operation = route.operation if route is not None else request.raw_path.split("/")[1]
            fault = self.fault_injector.next(operation, operation == TOKEN_OPERATION)
            body = await _read(request, operation)
            if self._anywhere and (called := request.headers.get("Host")):
                self._world.url = f"http://{called}"  # until the answer is made, nothing else runs
            answer = _failure(fault) if fault and not fault.applied else self._answer(request, route, path, body)
        except Refusal as problem:
            answer = _refusal(problem)
            if problem.status == TOO_MANY_REQUESTS and self._retry_after is not None:
                headers["Retry-After"] = str(self._retry_after)
        headers["Date"] = format_datetime(self._world.store.time, usegmt=True)
        # Only now: a caller that gives up waiting must find, as with the real service, that its write took effect.
        if self._latency:
            await asyncio.sleep(self._latency)
        if fault is not None and isinstance(fault.kind, int):
            answer = _failure(fault)
            if fault.retry_after is not None:
                headers["Retry-After"] = str(fault.retry_after)
        response = web.Response(
            status=answer.status, body=answer.body, content_type=answer.content_type, headers=headers
        )
        return response if fault is None or isinstance(fault.kind, int) else await _broken(request, response, fault)

    def _match(self, request: web.BaseRequest) -> tuple[Route | None, dict[str, str]]:
        """The operation that is called; presigned URLs belong to none."""
        if request.raw_path.startswith((DOWNLOADS, UPLOADS)):
            return None, {}
        route, path = ROUTER.match(request.method, request.raw_path.partition("?")[0])
        self.requests[route.operation] += 1
        return route, path

    def _answer(self, request: web.BaseRequest, route: Route | None, path: dict[str, str], body: bytes) -> Answer:
        if route is None:
            return self._file(request, body)
        answer = self._call(request, route, path, body)
        return Answer(200, JSON, b"" if route.answer is None else ENCODER.encode(answer))

    def _file(self, request: web.BaseRequest, body: bytes) -> Answer:
        authorized = "Authorization" in request.headers
        method = "GET" if request.raw_path.startswith(DOWNLOADS) else "PUT"
        if request.method != method:
            raise Refusal(405, f"method: {request.method} is not allowed on this path")
        if method == "PUT":
            accept(self._world, request.raw_path, authorized, request.headers.get("Content-Type"), body)
            return Answer(200, JSON, b"")
        return Answer(200, *fetch(self._world, request.raw_path, authorized))

    def _call(self, request: web.BaseRequest, route: Route, path: dict[str, str], body: bytes) -> object:
        authorization = request.headers.get("Authorization")
        if route.operation == TOKEN_OPERATION:
            _check_body(route, request.content_type, body, self._world)
            return self._access.issue(authorization)
        self._access.check(authorization, path.get("orgId", ""))
        self._limit.admit()
        if route.operation == INGEST_OPERATION and len(body) >= TOO_MANY_INGEST_BYTES:
            raise Refusal(403, f"body: not under {TOO_MANY_INGEST_BYTES} bytes")
        query = request.raw_path.partition("?")[2]
        values = check_query(route.query, parse_qsl(query, keep_blank_values=True))
        call = Call(route, path, values, _check_body(route, request.content_type, body, self._world))
        try:
            return HANDLERS[route.operation](self._world, call)
        finally:
            tell_changes(self._world)


def _refusal(problem: Refusal) -> Answer:
    return Answer(problem.status, JSON, ENCODER.encode({"message": problem.message}))


def _failure(fault: Fault) -> Answer:
    status = fault.kind if isinstance(fault.kind, int) else 500
    return _refusal(Refusal(status, "the sandbox was told to fail"))


async def _broken(request: web.BaseRequest, response: web.Response, fault: Fault) -> web.StreamResponse:
    """End the connection: at once, or with half of the body sent."""
    body = response.body
    if fault.kind == "cut" and isinstance(body, bytes) and len(body) > 1:
        half = web.StreamResponse(status=response.status, headers=response.headers)
        half.content_length = len(body)
        with suppress(ConnectionResetError):  # the caller may be gone already
            await half.prepare(request)
            await half.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _read(request: web.BaseRequest, operation: str) -> bytes:
    # aiohttp's limit of a mebibyte is far below that of an uploaded file.
    if operation == UPLOADS.strip("/"):
        if (request.content_length or 0) > MOST_UPLOAD_BYTES:
            raise Refusal(413, "body: too large")
        return await request.content.read()
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Refusal(413, "body: too large") from None


def _check_body(route: Route, content_type: str, body: bytes, world: World) -> Row:
    if route.body is None:
        if body:
            raise Refusal(400, "body: this operation takes none")
        return {}
    if not body:
        if route.body.required:
            raise Refusal(400, "body: missing")
        return {}
    value: object
    if content_type == FORM and route.operation == TOKEN_OPERATION:
        value = dict(parse_qsl(body.decode(errors="replace")))
    elif content_type == JSON:
        try:
            value = DECODER.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal(400, f"body: not JSON, {error}") from None
    else:
        raise Refusal(400, f"Content-Type: {content_type} is not {JSON}")
    checked = check_body(value, route.body, world.schemas)
    check_no_version(route, checked)
    return checked
