"""Which function answers which operation: the special ones, and for the rest what the shape of the path tells."""

from __future__ import annotations

from typing import Final

from m3ter_async.sandbox.call_context import Handler
from m3ter_async.sandbox.contract import ROUTES
from m3ter_async.sandbox.contract.path_patterns import BILLS
from m3ter_async.sandbox.handlers import (
    account_plans,
    balances,
    bill_jobs,
    bills,
    counter_adjustments,
    data_exports,
    downloads,
    end_of_billing,
    events,
    integrations,
    line_items,
    lookup_tables,
    measurements,
    permissions,
    queries,
    search,
    statement_jobs,
    status_changes,
    users,
    views_of_collections,
)
from m3ter_async.sandbox.handlers.crud import Collections

# What no path shape tells; these go before the generic handlers.
SPECIAL: Final[dict[str, Handler]] = {
    name: handler
    for module in (
        account_plans,
        balances,
        bill_jobs,
        bills,
        counter_adjustments,
        data_exports,
        downloads,
        end_of_billing,
        events,
        integrations,
        line_items,
        lookup_tables,
        measurements,
        permissions,
        queries,
        search,
        statement_jobs,
        status_changes,
        users,
        views_of_collections,
    )
    for name, handler in module.HANDLERS.items()
}
# Entities that are answered with more than what is stored.
COLLECTIONS: Final = Collections({BILLS: bills.with_lines, lookup_tables.TABLES: lookup_tables.with_active})
HANDLERS: Final[dict[str, Handler]] = {**COLLECTIONS.handlers(ROUTES), **SPECIAL}
