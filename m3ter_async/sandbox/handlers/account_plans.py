"""Account plans: one is replaced by another."""

from __future__ import annotations

from typing import Any, Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import ACCOUNT_PLANS
from m3ter_async.sandbox.handlers.entity_rows import new_row, touched
from m3ter_async.sandbox.rules.service_fields import DEFAULTS
from m3ter_async.sandbox.rules.versions import check_version


def replace_account_plan(world: World, call: Call) -> Row:
    """POST /accountplans/{id}/replace: the old one ends where the new one starts."""
    table = world.store.table(ACCOUNT_PLANS, {})
    before = world.store.row(ACCOUNT_PLANS, call.path)
    check_version(world, call, before)
    create = Call(call.route._replace(path=ACCOUNT_PLANS, answer=_plan_answer(world)), {}, {}, call.body)
    after = new_row(world, create)
    DEFAULTS[ACCOUNT_PLANS](world, create, None, after)
    world.wrote(call)
    old = table.put({**before, **touched(world, before), "endDate": after["startDate"]})
    return {"originalAccountPlan": old, "newAccountPlan": table.put(after)}


def _plan_answer(world: World) -> Any:
    return world.schemas["ReplaceAccountPlanResponse"]["newAccountPlan"]


HANDLERS: Final[dict[str, Handler]] = {"ReplaceAccountPlan": replace_account_plan}
