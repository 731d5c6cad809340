"""Who is calling, and the password of a user."""

from __future__ import annotations

from typing import Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import USERS


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
    world.store.row(USERS, call.path)
    world.wrote(call)


HANDLERS: Final[dict[str, Handler]] = {"GetMe": get_me, "AdminResendTempPass": resend_password}
