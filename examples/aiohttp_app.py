"""m3ter in an aiohttp.web service: one client for its whole life, bounded time, no work for callers who have gone.

Run it with ``python -m examples.aiohttp_app`` and key, secret and organization in the environment.
"""

import asyncio
import json
import math
from collections import defaultdict
from collections.abc import AsyncGenerator
from datetime import date
from decimal import Context, Decimal, InvalidOperation, localcontext
from functools import partial

import anyio
from aiohttp import web
from aiohttp.typedefs import Handler

from m3ter_async import (
    APIError,
    APITimeoutError,
    AsyncM3ter,
    BadRequestError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    UnprocessableEntityError,
)

BUDGET = 10.0  # seconds for a request, unless its caller has less
PASSED_ON = (BadRequestError, ConflictError, NotFoundError, RateLimitError, UnprocessableEntityError)
EXACT = Context(prec=60)
M3TER = web.AppKey("m3ter", AsyncM3ter)
WRITES = web.AppKey("writes", set[asyncio.Future[web.StreamResponse]])


async def client(app: web.Application) -> AsyncGenerator[None]:
    async with AsyncM3ter() as m3ter:
        app[M3TER] = m3ter
        yield
        await asyncio.gather(*app[WRITES], return_exceptions=True)


def budget(request: web.Request) -> float:
    """Seconds for this request; callers say in a header how long they will wait."""
    try:
        seconds = float(request.headers.get("X-Timeout", BUDGET))
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise web.HTTPBadRequest(text="X-Timeout is a number of seconds")
    return min(seconds, BUDGET)


def within_budget(request: web.Request) -> AsyncM3ter:
    """The client, so that no call outlasts the request, and one that is cut off says what may have happened."""
    return request.app[M3TER].with_options(timeout=budget(request), max_retry_time=budget(request))


@web.middleware
async def bound(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Stop what only reads when the time is up; a write goes on, also when its caller hangs up.

    It is cancelled by ``handler_cancellation`` below, and a write that is cut off may or may not have happened.
    """
    if request.method == "GET":
        with anyio.fail_after(budget(request)):
            return await handler(request)
    write = asyncio.ensure_future(handler(request))
    request.app[WRITES].add(write)  # asyncio itself holds no task
    write.add_done_callback(request.app[WRITES].discard)
    return await asyncio.shield(write)


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Pass on what the caller can do something about; all else is a bad or late answer from behind this service."""
    try:
        return await handler(request)
    except TimeoutError:
        return web.json_response({"detail": "out of time", "outcome_unknown": False}, status=504)
    except APIError as error:
        mine = isinstance(error, PASSED_ON) and not error.outcome_unknown
        status = error.status if mine and error.status else 504 if isinstance(error, APITimeoutError) else 502
        headers = {"Retry-After": str(math.ceil(error.retry_after or 1))} if isinstance(error, RateLimitError) else {}
        detail = error.reason if mine else "m3ter gave no answer to use"
        body = {"detail": detail, "outcome_unknown": error.outcome_unknown, "request_id": error.request_id}
        return web.json_response(body, status=status, headers=headers)


async def totals(request: web.Request) -> web.Response:
    """What all bills come to, by currency."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    with localcontext(EXACT):
        async for bill in within_budget(request).bills.list():
            for item in bill.line_items or ():
                sums[bill.currency or "?"] += item.subtotal
    return web.json_response({currency: f"{amount:f}" for currency, amount in sums.items()})


async def health(request: web.Request) -> web.Response:
    """Whether m3ter answers, with one cheap call and no patience."""
    await request.app[M3TER].with_options(timeout=2, max_retries=0).accounts.list(page_size=1)
    return web.json_response({"m3ter": "ok"})


async def charge(request: web.Request) -> web.Response:
    """Charge an account, once."""
    try:
        new = await request.json(loads=partial(json.loads, parse_float=Decimal))
        code, currency = str(new["code"]), str(new["currency"])
        amount, day = Decimal(new["amount"]), date.fromisoformat(new["day"])
        if not amount.is_finite():
            raise ValueError
    except (ValueError, TypeError, KeyError, InvalidOperation):
        raise web.HTTPUnprocessableEntity(text="wanted: code, amount, currency and day") from None
    made = await within_budget(request).charges.create(
        name=code,
        code=code,
        account_id=request.match_info["account_id"],
        currency=currency,
        amount=amount,
        entity_type="AD_HOC",
        line_item_type="AD_HOC",
        service_period_start_date=day,
        service_period_end_date=day,
    )
    return web.json_response({"id": made.id}, status=201)


def make_app() -> web.Application:
    app = web.Application(middlewares=[explain, bound])
    app[WRITES] = set()
    app.cleanup_ctx.append(client)
    app.add_routes([web.get("/totals", totals), web.get("/health", health)])
    app.add_routes([web.post("/accounts/{account_id}/charges", charge)])
    return app


if __name__ == "__main__":
    web.run_app(make_app(), handler_cancellation=True)
