"""Who may do what: permission policies given to users and groups, and resource groups with what is in them."""

from __future__ import annotations

from typing import Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import ORG, USERS
from m3ter_async.sandbox.handlers.entity_rows import new_row
from m3ter_async.sandbox.handlers.pages import numbered, page
from m3ter_async.sandbox.refusal import Refusal

POLICIES: Final = ORG + "/permissionpolicies"
GIVEN: Final = POLICIES + "/{permissionPolicyId}/principals"
GROUPS: Final = ORG + "/resourcegroups/{type}"
CONTENTS: Final = GROUPS + "/{resourceGroupId}/contents"
# Users are in resource groups of this type.
USER_GROUPS: Final = {"type": "usergroups"}
# Ends of operation ids -> what a policy is given to.
KINDS: Final = {
    "ServiceUser": "SERVICEUSER",
    "SupportUsers": "SUPPORTUSERS",
    "User": "USER",
    "UserGroup": "USERGROUP",
}


def _given(world: World, call: Call, kind: str) -> tuple[str, Row | None]:
    """The principal that a call is about, and the entry that says it has the policy already."""
    principal = call.body.get("principalId") or "support"
    rows = world.store.table(GIVEN, call.path).walk()
    wanted = kind, principal
    return principal, next((row for _, row in rows if (row["principalType"], row["principalId"]) == wanted), None)


def _add(kind: str) -> Handler:
    def handler(world: World, call: Call) -> Row:
        principal, row = _given(world, call, kind)
        if row is None:
            row = {**new_row(world, call), "principalId": principal, "principalType": kind}
            world.store.table(GIVEN, call.path).put(row)
        world.wrote(call)
        return row

    return handler


def _remove(kind: str) -> Handler:
    def handler(world: World, call: Call) -> Row:
        _, row = _given(world, call, kind)
        if row is None:
            raise Refusal(404, "principalId: the policy was not given to it")
        world.store.table(GIVEN, call.path).remove(row["id"])
        world.wrote(call)
        return row

    return handler


def _policies_of(world: World, kind: str, principal: str) -> list[Row]:
    policies = [row for _, row in world.store.table(POLICIES, {}).walk()]
    return [
        policy
        for policy in policies
        for _, row in world.store.table(GIVEN, {"permissionPolicyId": policy["id"]}).walk()
        if (row["principalType"], row["principalId"]) == (kind, principal)
    ]


def user_permissions(world: World, call: Call) -> Row:
    """GET /users/{id}/permissions: declared to answer one policy; a user to whom none was given has the first one."""
    user = world.store.row(USERS, call.path)
    found = _policies_of(world, "USER", user["id"]) or [row for _, row in world.store.table(POLICIES, {}).walk()]
    return _first(found, "id: this user has no permission policy")


def user_groups(world: World, call: Call) -> Row:
    """GET /users/{id}/usergroups: declared to answer one group; a user who was added to none is in the first one."""
    user = world.store.row(USERS, call.path)
    groups = [row for _, row in world.store.table(GROUPS, USER_GROUPS).walk()]
    found = [group for group in groups if _item(world, {**USER_GROUPS, "resourceGroupId": group["id"]}, user["id"])]
    return _first(found or groups, "id: this user is in no group")


def _first(rows: list[Row], message: str) -> Row:
    if not rows:
        raise Refusal(404, message)
    return rows[0]


def group_permissions(world: World, call: Call) -> Row:
    """GET /resourcegroups/{type}/{resourceGroupId}/permissions."""
    group = world.store.row(GROUPS, call.path, "resourceGroupId")
    return page(world, call, numbered(_policies_of(world, "USERGROUP", group["id"])), dict)


def _item(world: World, path: dict[str, str], target: str) -> Row | None:
    rows = world.store.table(CONTENTS, path).walk()
    return next((row for _, row in rows if row["targetId"] == target), None)


def add_resource(world: World, call: Call) -> Row:
    """POST .../addresource: the group is answered; what is in it already stays there once."""
    group = world.store.row(GROUPS, call.path, "resourceGroupId")
    if _item(world, call.path, call.body["targetId"]) is None:
        item = call.route._replace(answer=world.schemas["PaginatedResourceGroupItemResponseData"]["data"].item)
        row = new_row(world, Call(item, {}, {}, call.body))
        world.store.table(CONTENTS, call.path).put(row)
    world.wrote(call)
    return group


def remove_resource(world: World, call: Call) -> Row:
    """POST .../removeresource."""
    group = world.store.row(GROUPS, call.path, "resourceGroupId")
    item = _item(world, call.path, call.body["targetId"])
    if item is None:
        raise Refusal(404, "targetId: not in this group")
    world.store.table(CONTENTS, call.path).remove(item["id"])
    world.wrote(call)
    return group


def contents(world: World, call: Call) -> Row:
    """POST .../contents: it reads, although it is a POST; the page parameters are in the query."""
    return page(world, call, world.store.table(CONTENTS, call.path).walk, dict)


HANDLERS: Final[dict[str, Handler]] = {
    **{f"AddPermissionPolicyTo{name}": _add(kind) for name, kind in KINDS.items()},
    **{f"RemovePermissionPolicyFrom{name}": _remove(kind) for name, kind in KINDS.items()},
    "GetOrgUserPermissions": user_permissions,
    "GetOrgUserGroups": user_groups,
    "GetResourceGroupPermissions": group_permissions,
    "AddResourceToGroup": add_resource,
    "RemoveResourceFromGroup": remove_resource,
    "ListResourceGroupsForId": contents,
}
