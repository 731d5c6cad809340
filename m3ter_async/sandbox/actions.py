"""What is done to an entity besides changing it as a whole, and lists that are views of another collection."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from m3ter_async.sandbox.calls import Call, Handler, World
from m3ter_async.sandbox.crud import check_version, new_row, touched
from m3ter_async.sandbox.data import Row
from m3ter_async.sandbox.defaults import DEFAULTS
from m3ter_async.sandbox.pages import numbered, page
from m3ter_async.sandbox.paths import ACCOUNTS, ORG
from m3ter_async.sandbox.problem import Problem
from m3ter_async.sandbox.validate import moment

ACCOUNT_PLANS: Final = ORG + "/accountplans"
CONTRACTS: Final = ORG + "/contracts"
CONFIGS: Final = ORG + "/integrationconfigs"
MAPPINGS: Final = ORG + "/externalmappings"
REVISIONS: Final = ORG + "/lookuptables/{lookupTableId}/revisions"
RUNS: Final = ORG + "/integrationruns"
WEBHOOKS: Final = ORG + "/integrationdestinations/webhooks"

# Operation -> the collection it shows a part of, and which field each path parameter stands for.
VIEWS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "ListAccountChildren": (ACCOUNTS, {"id": "parentAccountId"}),
    "ListExternalMappingsForM3terEntity": (MAPPINGS, {"entity": "m3terEntity", "m3terId": "m3terId"}),
    "ListExternalMappingsForExternalSystemAndEntity": (
        MAPPINGS,
        {"system": "externalSystem", "externalTable": "externalTable", "externalId": "externalId"},
    ),
    "ListIntegrationRuns": (RUNS, {"entityType": "entityType", "entityId": "entityId"}),
    "ListIntegrationRunsByDestinationId": (RUNS, {"destinationId": "destinationId"}),
}
# Operation -> the collection, and the fields it sets: to a value, or to the query parameter or body field named.
CHANGES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "EnableIntegrationConfig": (CONFIGS, {"enabled": True}),
    "ActivateWebhookDestination": (WEBHOOKS, {}),
    "UpdateLookupTableRevisionStatus": (REVISIONS, {}),
}
# What `billingEntities` names -> the collection, the field that holds the account, and the one that holds the contract.
BILLING: Final = {
    "CONTRACT": (CONTRACTS, "accountId", "id"),
    "ACCOUNTPLAN": (ACCOUNT_PLANS, "accountId", "contractId"),
    "PREPAYMENT": (ORG + "/commitments", "accountId", "contractId"),
    # Prices belong to plans and not to an account, so that none is found and none ended here.
    "PRICINGS": (ORG + "/pricings", "", ""),
    "COUNTER_PRICINGS": (ORG + "/counterpricings", "", ""),
}


def view(world: World, call: Call) -> Row:
    """The rows of a collection that the path selects; a path through an account that does not exist is a 404."""
    pattern, names = VIEWS[call.route.operation]
    if pattern == ACCOUNTS:
        world.store.row(ACCOUNTS, call.path)
    wanted = [(field, call.path[name]) for name, field in names.items()]
    table = world.store.table(pattern, {})

    def walk(after: int | None) -> Iterable[tuple[int, Row]]:
        rows = table.walk(after)
        return ((place, row) for place, row in rows if all(row.get(field) == value for field, value in wanted))

    if call.query.get("order") == "ASC":
        return page(world, call, numbered([row for _, row in walk(None)][::-1]), dict)
    return page(world, call, walk, dict)


def change(world: World, call: Call) -> Row:
    """Set single fields of an entity."""
    pattern, fixed = CHANGES[call.route.operation]
    before = world.store.row(pattern, call.path)
    if call.body.get("version") is not None:
        check_version(call, before)
    given = {name: value for name, value in {**call.query, **call.body}.items() if name != "version"}
    world.wrote(call)
    return world.store.table(pattern, call.path).put({**before, **fixed, **given, **touched(world, before)})


def replace_account_plan(world: World, call: Call) -> Row:
    """POST /accountplans/{id}/replace: the old one ends where the new one starts."""
    table = world.store.table(ACCOUNT_PLANS, {})
    before = world.store.row(ACCOUNT_PLANS, call.path)
    if call.body.get("version") is not None:
        check_version(call, before)
    create = Call(call.route._replace(path=ACCOUNT_PLANS, answer=_plan_answer(world)), {}, {}, call.body)
    after = new_row(world, create)
    DEFAULTS[ACCOUNT_PLANS](world, create, None, after)
    world.wrote(call)
    old = table.put({**before, **touched(world, before), "endDate": after["startDate"]})
    return {"originalAccountPlan": old, "newAccountPlan": table.put(after)}


def _plan_answer(world: World) -> Any:
    return world.schemas["ReplaceAccountPlanResponse"]["newAccountPlan"]


def end_billing(world: World, call: Call) -> Row:
    """PUT .../enddatebillingentities: end what is still open then, of an account (with its children) or a contract."""
    of_account = call.route.path.startswith(ACCOUNTS)
    owner = world.store.row(ACCOUNTS if of_account else CONTRACTS, call.path)
    owners = {owner["id"]}
    if of_account and call.body.get("applyToChildren"):
        owners |= {
            row["id"] for _, row in world.store.table(ACCOUNTS, {}).walk() if row.get("parentAccountId") in owners
        }
    end = moment(call.body["endDate"])
    if end is None:
        raise Problem(400, "endDate: not a date-time")
    updated: Row = {}
    for name in call.body["billingEntities"]:
        pattern, account_field, contract_field = BILLING[name]
        field = account_field if of_account else contract_field
        changed = [_end(world, pattern, row, end) for row in _open(world, pattern, field, owners, end)]
        updated[name] = {"empty": not changed}
    world.wrote(call)
    failed = {name: {"empty": True} for name in updated}
    return {"statusMessage": "SUCCESS", "updatedEntities": updated, "failedEntities": failed}


def _open(world: World, pattern: str, field: str, owners: set[str], end: datetime) -> list[Row]:
    rows = [row for _, row in world.store.table(pattern, {}).walk() if row.get(field) in owners]
    return [row for row in rows if row.get("endDate") is None or (moment(row["endDate"]) or end) > end]


def _end(world: World, pattern: str, row: Row, end: datetime) -> Row:
    # Contracts and commitments end on a day, the others at a moment.
    text = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    is_day = len(row.get("startDate") or text) == len("2025-01-01")
    change = {**touched(world, row), "endDate": text[:10] if is_day else text}
    return world.store.table(pattern, {}).put({**row, **change})


def get_me(world: World, _call: Call) -> Row:
    """GET /users/me: the access key belongs to a service user."""
    organization = world.store.organization
    created = organization.day(1000) + "T00:00:00Z"
    stamps = {"version": 1, "dtCreated": created, "dtLastModified": created, "createdBy": organization.user_id}
    service_user = {"id": organization.service_user_id, "name": "Sandbox service user", **stamps}
    own = {"id": organization.id, "orgId": organization.id, "organizationName": "Sandbox", "shortName": "sandbox"}
    return {
        "user": None,
        "serviceUser": service_user,
        "organization": {**own, "type": "SANDBOX", "status": "ACTIVE", **stamps},
    }


def resend_password(world: World, call: Call) -> None:
    """PUT /users/{id}/password/resend: answered with an empty body."""
    world.store.row(ORG + "/users", call.path)
    world.wrote(call)


HANDLERS: Final[dict[str, Handler]] = {
    **dict.fromkeys(VIEWS, view),
    **dict.fromkeys(CHANGES, change),
    "ReplaceAccountPlan": replace_account_plan,
    "EndDateBillingEntitiesForAccount": end_billing,
    "EndDateBillingEntitiesForContract": end_billing,
    "GetMe": get_me,
    "AdminResendTempPass": resend_password,
}
