"""Which function answers which operation: the special ones, and for the rest what the shape of the path tells."""

from __future__ import annotations

from typing import Final

from m3ter_async.sandbox import (
    actions,
    adjustments,
    balances,
    bills,
    downloads,
    events,
    exports,
    ingest,
    integrations,
    jobs,
    lookups,
    principals,
    queries,
    search,
)
from m3ter_async.sandbox.calls import Handler
from m3ter_async.sandbox.contract import ROUTES
from m3ter_async.sandbox.crud import Collections
from m3ter_async.sandbox.paths import BILLS
from m3ter_async.sandbox.router import Router

# What no path shape tells; these go before the generic handlers.
SPECIAL: Final[dict[str, Handler]] = {
    name: handler
    for room in (
        actions,
        adjustments,
        balances,
        bills,
        downloads,
        events,
        exports,
        ingest,
        integrations,
        jobs,
        lookups,
        principals,
        queries,
        search,
    )
    for name, handler in room.HANDLERS.items()
}
# Entities that are answered with more than what is stored.
COLLECTIONS: Final = Collections({BILLS: bills.with_lines, lookups.TABLES: lookups.with_active})
HANDLERS: Final[dict[str, Handler]] = {**COLLECTIONS.handlers(ROUTES), **SPECIAL}
ROUTER: Final = Router(ROUTES)
KNOWN: Final = {(route.method, route.path) for route in ROUTES}
