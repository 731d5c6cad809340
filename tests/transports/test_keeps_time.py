"""Transports that say that they keep time do so: no cancel scope is put around them."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from m3ter_async import APITimeoutError, AsyncM3ter
from m3ter_async.transports.protocol import Request, Response

from ..wire import Pair, Wire, faults, grant


@pytest.fixture
def anyio_backend(pair: Pair) -> str:
    return pair.backend


@pytest.mark.parametrize("fault", ["stalls before the answer", "stalls mid-body"])
async def test_a_call_ends_at_its_deadline_whatever_the_wire_does(pair: Pair, fault: str) -> None:
    with Wire([faults({"id": "a"})[fault]], login=[grant()]) as wire:
        transport = pair.transport()
        assert transport.keeps_time  # type: ignore[attr-defined]
        options: dict[str, Any] = {"base_url": wire.url, "transport": transport, "max_retries": 0}
        async with AsyncM3ter("key", "secret", "org", **options) as m3ter:
            await m3ter.warm_up()
            with anyio.fail_after(5), pytest.raises(APITimeoutError):
                await m3ter.with_options(total_timeout=0.1).bill_jobs.retrieve("a")
        await transport.aclose()


@pytest.mark.parametrize("kind", ["total_timeout", "scope"])
async def test_around_any_other_transport_the_deadline_is_a_scope(kind: str) -> None:
    class Endless:
        async def send(self, request: Request) -> Response:
            await anyio.sleep_forever()
            raise AssertionError

        async def aclose(self) -> None: ...

    async with AsyncM3ter(token="token", org_id="org", transport=Endless()) as m3ter:
        if kind == "scope":
            with anyio.move_on_after(0.05) as scope:
                await m3ter.bill_jobs.retrieve("a")
            assert scope.cancelled_caught
        else:
            with pytest.raises(APITimeoutError):
                await m3ter.with_options(total_timeout=0.05).bill_jobs.retrieve("a")
