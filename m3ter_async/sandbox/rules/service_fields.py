"""What the service adds to the entities of configuration collections, and the little that it demands of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from m3ter_async.sandbox.call_context import Call, Rule, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import COMMITMENTS, ORG
from m3ter_async.sandbox.rules.entity_rules import in_order

# Fields that only the service sets, and what they hold in a new entity.
FIRST: Final[dict[str, Row]] = {
    ORG + "/invitations": {"accepted": False},
    ORG + "/integrationconfigs": {"authorized": True, "enabled": False, "triggerType": "EVENT"},
    ORG + "/permissionpolicies": {"managedPolicy": False},
    ORG + "/lookuptables/{lookupTableId}/revisions": {"status": "DRAFT", "itemCount": 0},
    COMMITMENTS: {"amountSpent": Decimal(0)},
}


def _first(world: World, call: Call, before: Row | None, after: Row | None) -> None:
    if before is None and after is not None:
        after.update(FIRST[call.route.path])
        if call.route.path.endswith("/invitations"):
            after["invitingPrincipalId"] = world.store.organization.service_user_id


def _period(_world: World, _call: Call, _before: Row | None, after: Row | None) -> None:
    if after is not None:
        in_order(after, "startDate", "endDate")


def _commitment(world: World, call: Call, before: Row | None, after: Row | None) -> None:
    _first(world, call, before, after)
    _period(world, call, before, after)


def _plan(world: World, _call: Call, _before: Row | None, after: Row | None) -> None:
    if after is not None:
        template = world.store.table(ORG + "/plantemplates", {}).get(after["planTemplateId"])
        after["productId"] = template.get("productId") if template else None


def _account_plan(world: World, call: Call, before: Row | None, after: Row | None) -> None:
    _period(world, call, before, after)
    if after is not None:
        plan = world.store.table(ORG + "/plans", {}).get(after.get("planId") or "")
        after["productId"] = plan.get("productId") if plan else None


def _pricing(world: World, call: Call, before: Row | None, after: Row | None) -> None:
    _period(world, call, before, after)
    if after is not None:
        after["aggregationType"] = "COMPOUND" if after.get("compoundAggregationId") else "SIMPLE"


def _webhook(world: World, call: Call, before: Row | None, after: Row | None) -> None:
    if after is None:
        return
    if after.get("active") is None:
        after["active"] = True
    # A secret that was stored is never shown again.
    given = {name: value for name, value in after["credentials"].items() if name not in ("secret", "empty")}
    known = (before or {}).get("credentials") or {"id": world.store.new_id()}
    after["credentials"] = {"destination": "WEBHOOK", **given, "id": known["id"], "version": after["version"]}


DEFAULTS: Final[dict[str, Rule]] = {
    **dict.fromkeys(FIRST, _first),
    COMMITMENTS: _commitment,
    ORG + "/contracts": _period,
    ORG + "/counterpricings": _period,
    ORG + "/pricings": _pricing,
    ORG + "/plans": _plan,
    ORG + "/accountplans": _account_plan,
    ORG + "/integrationdestinations/webhooks": _webhook,
}
