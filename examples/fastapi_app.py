"""m3ter in a FastAPI service: one client for its whole life, time that is bounded, no work for callers who have gone.

Run it with ``uvicorn examples.fastapi_app:app`` and key, secret and organization in the environment.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import date
from decimal import Context, Decimal, localcontext
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

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


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, AsyncM3ter]]:
    async with AsyncM3ter() as m3ter:
        yield {"m3ter": m3ter}


def budget(request: Request) -> float:
    """Seconds for this request; callers say in a header how long they will wait."""
    try:
        seconds = float(request.headers.get("x-timeout", BUDGET))
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise HTTPException(400, "x-timeout is a number of seconds")
    return min(seconds, BUDGET)


def within_budget(request: Request) -> AsyncM3ter:
    """The client, so that no call outlasts the request, and one that is cut off says what may have happened."""
    m3ter: AsyncM3ter = request.state.m3ter
    return m3ter.with_options(timeout=budget(request), max_retry_time=budget(request))


M3ter = Annotated[AsyncM3ter, Depends(within_budget)]


class Read(APIRoute):
    """A route that only reads: it stops when the time is up, or when its caller hangs up.

    Any other route is left to run to its end: a write that is cut off may or may not have happened.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_or_stop(request: Request) -> Response:
            await request.body()  # so that the next message, if one comes, is the hang-up
            with anyio.fail_after(budget(request)) as scope:

                async def watch() -> None:
                    while (await request.receive())["type"] != "http.disconnect":
                        pass
                    scope.cancel()

                watcher = asyncio.create_task(watch())
                try:
                    return await handle(request)
                finally:
                    watcher.cancel()
            return Response(status_code=499)  # nobody reads it

        return handle_or_stop


app = FastAPI(lifespan=lifespan)
reads = APIRouter(route_class=Read)


@reads.get("/totals")
async def totals(m3ter: M3ter) -> dict[str, str]:
    """What all bills come to, by currency."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    with localcontext(EXACT):
        async for bill in m3ter.bills.list():
            for item in bill.line_items or ():
                sums[bill.currency or "?"] += item.subtotal
    return {currency: f"{amount:f}" for currency, amount in sums.items()}


@reads.get("/health")
async def health(request: Request) -> dict[str, str]:
    """Whether m3ter answers, with one cheap call and no patience."""
    m3ter: AsyncM3ter = request.state.m3ter
    await m3ter.with_options(timeout=2, max_retries=0).accounts.list(page_size=1)
    return {"m3ter": "ok"}


class NewCharge(BaseModel):
    code: str
    amount: Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$")]  # text: a JSON number would become a double on its way
    currency: str
    day: date


@app.post("/accounts/{account_id}/charges", status_code=201)
async def charge(account_id: str, new: NewCharge, m3ter: M3ter) -> dict[str, str]:
    """Charge an account, once."""
    made = await m3ter.charges.create(
        name=new.code,
        code=new.code,
        account_id=account_id,
        currency=new.currency,
        amount=Decimal(new.amount),
        entity_type="AD_HOC",
        line_item_type="AD_HOC",
        service_period_start_date=new.day,
        service_period_end_date=new.day,
    )
    return {"id": made.id}


app.include_router(reads)


@app.exception_handler(APIError)
async def failed(_: Request, error: APIError) -> JSONResponse:
    """Pass on what the caller can do something about; all else is a bad or late answer from behind this service."""
    mine = isinstance(error, PASSED_ON) and not error.outcome_unknown
    status = error.status if mine and error.status else 504 if isinstance(error, APITimeoutError) else 502
    headers = {"Retry-After": str(math.ceil(error.retry_after or 1))} if isinstance(error, RateLimitError) else {}
    detail = error.reason if mine else "m3ter gave no answer to use"
    body = {"detail": detail, "outcome_unknown": error.outcome_unknown, "request_id": error.request_id}
    return JSONResponse(body, status, headers)


@app.exception_handler(TimeoutError)
async def late(_: Request, __: TimeoutError) -> JSONResponse:
    """The time of a request that only reads is up."""
    return JSONResponse({"detail": "out of time", "outcome_unknown": False}, 504)
