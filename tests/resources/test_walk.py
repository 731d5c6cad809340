"""Every operation, from a typed method of the client to the sandbox and back, with the contract document as judge."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from m3ter_async import AiohttpTransport, AsyncM3ter, Paginator
from m3ter_async.sandbox import Sandbox
from m3ter_async.sandbox.contract import ROUTES, Route
from m3ter_async.transports.protocol import Request, Response

from ..contract import faults, needs_document, operations
from ..sandbox.raw import Raw
from ..sandbox.test_sandbox_walk import TRULY
from ..sandbox.walk import Walk
from .test_contract import key, method_of, query_faults

pytestmark = needs_document

DECLARED = {operation.id: operation for operation in operations()}


class Recorder(AiohttpTransport):
    """The default transport, and what went through it."""

    def __init__(self) -> None:
        super().__init__()
        self.exchanges: list[tuple[Request, Response]] = []

    async def send(self, request: Request) -> Response:
        response = await super().send(request)
        self.exchanges.append((request, Response(response.status, response.headers, bytes(response.content))))
        return response


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def walk() -> Iterator[Walk]:
    with Sandbox(seed=3, bills=40, empty_pages=False) as sandbox:
        raw = Raw(sandbox)
        with closing(raw.http):
            yield Walk(raw)


def path_values(walk: Walk, route: Route) -> tuple[str, dict[str, str]]:
    """The path through entities that exist, and what fills its parameters."""
    path = walk.path(route)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path.removeprefix("/organizations/{orgId}"))
    found = re.fullmatch(pattern, path)
    assert found, path
    return path, {name: unquote(value) for name, value in found.groupdict().items()}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
async def test_every_operation_works_from_the_typed_method_to_the_sandbox_and_back(walk: Walk, route: Route) -> None:
    operation = DECLARED[route.operation]
    sandbox = walk.raw.sandbox
    recorder = Recorder()
    client = AsyncM3ter(
        sandbox.api_key, sandbox.api_secret, sandbox.org_id, base_url=sandbox.url, rate_limit=None, transport=recorder
    )
    async with client as m3ter:
        method = method_of(m3ter, operation)
        given: dict[str, Any] = {}
        if route.operation == "GenerateToken":
            given = {"grant_type": "client_credentials"}
        else:
            path, in_path = path_values(walk, route)
            body = walk.body(route, path)
            parts = ({n: v for n, v in walk.query(route).items() if v is not None}, body or {}, in_path)
            names = {key(name): name for name in inspect.signature(method).parameters}
            given = {names[key(name)]: value for part in parts for name, value in part.items()}
        result = method(**given)
        if isinstance(result, Paginator):
            await result.collect(limit=5)
        else:
            await result
    request, response = next(one for one in reversed(recorder.exchanges) if one[0].method == route.method)
    query = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
    assert not query_faults(operation, query)
    if operation.body is not None:
        assert not list(faults(json.loads(request.content or b"", parse_float=Decimal), operation.body))
    truly = TRULY.get(route.operation)
    schema = {"$ref": f"#/components/schemas/{truly}"} if truly else operation.answer
    if schema is not None:
        assert not list(faults(json.loads(response.content, parse_float=Decimal), schema, answer=True))
