"""The path patterns that more than one module speaks of: each names a collection."""

from __future__ import annotations

from typing import Final

ORG: Final = "/organizations/{orgId}"
BILLS: Final = ORG + "/bills"
ACCOUNTS: Final = ORG + "/accounts"
COMMITMENTS: Final = ORG + "/commitments"
BALANCES: Final = ORG + "/balances"
TRANSACTIONS: Final = ORG + "/balances/{balanceId}/transactions"
CREDITS: Final = ORG + "/bills/{billId}/creditlineitems"
DEBITS: Final = ORG + "/bills/{billId}/debitlineitems"
BILL_JOBS: Final = ORG + "/billjobs"
STATEMENT_JOBS: Final = ORG + "/statementjobs"
METERS: Final = ORG + "/meters"
REVISIONS: Final = ORG + "/lookuptables/{lookupTableId}/revisions"
RUNS: Final = ORG + "/integrationruns"
ACCOUNT_PLANS: Final = ORG + "/accountplans"
CONTRACTS: Final = ORG + "/contracts"
USERS: Final = ORG + "/users"

# Path parameters that are no ids of entities: nothing has to exist for them.
FREE: Final = frozenset(
    {
        "orgId",
        "type",
        "entityType",
        "entityId",
        "systemName",
        "configOption",
        "destination",
        "destinationId",
        "entity",
        "m3terId",
        "system",
        "externalTable",
        "externalId",
        "lookupKey",
    }
)
