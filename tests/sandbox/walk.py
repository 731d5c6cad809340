"""Calls for every operation: with all its parameters, a full body and ids that exist, from the contract's tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

import httpx

from m3ter_async.sandbox.contract import ROUTES, SCHEMAS, Field, Route

from .raw import DECODER, Json, Raw, first_bill

ORG = "/organizations/{orgId}"
BY_PATH = {(route.method, route.path): route for route in ROUTES}
REVISION = ORG + "/lookuptables/{lookupTableId}/revisions/{lookupTableRevisionId}"

FIELDS = [{"name": "region", "type": "STRING"}, {"name": "rate", "type": "NUMBER"}]

# What a name means, wherever it stands in a body, a query or a path.
TEXTS: dict[str, str] = {
    "type": "products",
    "entityType": "Bill",
    "systemName": "NETSUITE",
    "destination": "NETSUITE",
    "configOption": "subsidiary",
    "entity": "Account",
    "system": "NETSUITE",
    "externalTable": "customers",
    "externalId": "cus_0000",
    "currency": "USD",
    "autoApproveBillsGracePeriodUnit": "DAYS",
    "lookupKey": "eu",
    "integrationCredentialsId": "credentials",
    "scheduleType": "DAY",
    "email": "email@example.com",
    "emailAddress": "email@example.com",
    "iamRoleArn": "arn:aws:iam::123456789012:role/exports",
}
# Fields and parameters left out, because they exclude others or would narrow a list to nothing real.
LEFT_OUT: dict[str, set[str]] = {
    "CreateCharge": {"units", "unitPrice"},
    "UpdateCharge": {"units", "unitPrice"},
    "CreateBalanceChargeSchedule": {"units", "unitPrice"},
    "UpdateBalanceChargeSchedule": {"units", "unitPrice"},
    "PreviewScheduledCharge": {"units", "unitPrice"},
}
# Values that depend on the operation.
SPECIAL: dict[str, dict[str, Json]] = {
    "CreateCharge": {"entityType": "AD_HOC"},
    "UpdateCharge": {"entityType": "AD_HOC"},
    "ListStatementJobs": {"active": "true", "status": "PENDING"},
    "ListBillJobs": {"active": "true", "status": "PENDING"},
    "ListBills": {"billingFrequency": "MONTHLY"},
    "UpdateBillConfig": {"billLockDate": "2000-01-01"},
    "UpdateOrganizationConfig": {"externalInvoiceDate": "LAST_DAY_OF_ARREARS"},
    "ListCounterAdjustments": {"sortOrder": "DESC"},
    "PutLookupTableRevisionData": {"items": [{"region": "eu", "rate": 1}]},
    "PutLookupTableRevisionDataEntry": {"item": {"region": "eu", "rate": 1}},
    "GetIntegrationConfigForType": {"entityId": None, "destinationId": None},
    "GetIntegrationRunLatestForIds": {"ids": None},
    "GetValidationErrorDownloadUrl": {"file": None},
    "CreateLookupTableRevision": {"fields": FIELDS, "keys": ["region"]},
    "UpdateLookupTableRevision": {"fields": FIELDS, "keys": ["region"]},
    "UpdateLookupTableRevisionStatus": {"status": "PUBLISHED"},
}
# Dates that a bill need not have would leave nothing to approve.
SPECIAL["ApproveBills"] = dict.fromkeys(("externalInvoiceDateStart", "externalInvoiceDateEnd", "accountIds"))
FIRST_PAGE = {"nextToken": None, "fromDocument": 0, "searchQuery": "currency~U", "sortBy": "id"}


class Walk:
    """Calls operations of one sandbox."""

    def __init__(self, raw: Raw, *, last: bool = False, required: bool = False) -> None:
        """Bodies take the first value of an enumeration, or the `last`; all fields, or only the `required` ones."""
        self.raw = raw
        self.choice = -1 if last else 0
        self.required = required

    def call(self, route: Route) -> Json:
        """Call an operation so that it succeeds, and decode what it answers."""
        if route.operation == "GenerateToken":
            box = self.raw.sandbox
            grant = {"grant_type": "client_credentials"}
            return self.raw.http.post(route.path, auth=(box.api_key, box.api_secret), json=grant).json()
        answer = self.send(route)
        assert answer.status_code == 200, (route.operation, answer.status_code, answer.text)
        return DECODER.decode(answer.content) if answer.content else None

    def send(self, route: Route) -> httpx.Response:
        """Call an operation with everything that it takes."""
        path = self.path(route)
        query = {name: self.text(value) for name, value in self.query(route).items() if value is not None}
        return self.raw.ask(route.method, path, self.body(route, path), **query)

    @staticmethod
    def text(value: Json) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        return ",".join(value) if isinstance(value, list) else str(value)

    def path(self, route: Route) -> str:
        """The path of an operation, through entities that exist."""
        prepare = PREPARE.get(route.operation)
        values = prepare(self) if prepare is not None else {}
        return self.fill(route.path, values)[len(ORG) :]

    def fill(self, pattern: str, values: dict[str, str]) -> str:
        filled = ORG
        for segment in pattern[len(ORG) + 1 :].split("/"):
            if segment.startswith("{"):
                name = segment[1:-1]
                before = pattern[: pattern.index("/" + segment)]
                segment = values.get(name) or TEXTS.get(name) or self.existing(before, filled, name)
            filled += "/" + segment
        return filled

    def existing(self, pattern: str, filled: str, name: str) -> str:
        """The id of an entity of a collection, which is made where there is none yet."""
        known = {"accountId": "/accounts", "m3terId": "/accounts", "entityId": "/bills", "destinationId": "/bills"}
        if name in known:
            return str(self.raw.all(known[name])[0]["id"])
        path = filled[len(ORG) :]
        if ("GET", pattern) in BY_PATH:
            rows = self.raw.all(path)
            if rows:
                return str(rows[0]["id"])
        made = self.raw.do("POST", path, self.body(BY_PATH["POST", pattern], path))
        return str(made.get("id") or made["jobId"])

    def query(self, route: Route) -> dict[str, Json]:
        special = {**FIRST_PAGE, **SPECIAL.get(route.operation, {})}
        return {name: special[name] if name in special else self.value(name, one) for name, one in route.query.items()}

    def body(self, route: Route, path: str) -> Json:
        """A body with every field, and the version that the entity has."""
        if route.body is None:
            return None
        field = route.body.any_of[self.choice] if route.body.any_of else route.body
        fields = SCHEMAS[field.ref or ""]
        special, without = SPECIAL.get(route.operation, {}), LEFT_OUT.get(route.operation, set())
        body = {
            name: special[name] if name in special else self.value(name, one)
            for name, one in fields.items()
            if name not in without and (one.required or not self.required)
        }
        body.pop("version", None)
        if route.method == "PUT" and "version" in fields:
            version = self.raw.do("GET", re.sub(r"/(status|active)$", "", path)).get("version")
            body["version"] = version
        if "m3terUser" in body:
            body["m3terUser"] = False
        return body

    def value(self, name: str, field: Field) -> Json:
        """A value of a declared type: of a union the first choice."""
        if field.enum:
            return field.enum[self.choice]
        if field.type == "array":
            assert field.item is not None
            return [self.value(name.removesuffix("s") if name.endswith("Ids") else name, field.item)]
        if field.type == "object":
            return {key: self.value(key, one) for key, one in SCHEMAS[field.ref or ""].items()}
        if field.type == "union":
            return self.value(name, field.any_of[self.choice])
        if field.type == "map":
            return {"key": self.value("key", field.item)} if field.item is not None else {}
        plain: dict[str, Json] = {"integer": 3, "number": Decimal("1.25"), "boolean": True, "any": "anything"}
        if field.type in plain:
            return plain[field.type]
        if field.type == "date" or (field.type == "string" and re.search("[dD]ate|Epoch", name)):
            return "2025-06-30"
        if field.type == "date-time":
            return "2025-06-30T12:00:00.250Z"
        return self.words(name, field)

    def words(self, name: str, field: Field) -> str:
        collections = {"accountId": "/accounts", "billId": "/bills", "eventId": "/events", "revisionId": ""}
        if name in collections:
            rows = self.raw.all(collections[name]) if collections[name] else []
            return str(rows[0]["id"]) if rows else ""
        if name == "destinationId":
            return str(self.raw.all("/dataexports/destinations")[0]["id"])
        text = TEXTS.get(name, name + "x" * max(0, (field.min_length or 1) - len(name)))
        return text[: field.max_length or 200]


def _bill(walk: Walk, **query: Json) -> dict[str, str]:
    bill = first_bill(walk.raw, **query)
    period = {"lastDateInBillingPeriod": bill["endDate"], "billingFrequency": bill["billingFrequency"]}
    return {"id": bill["id"], "billId": bill["id"], "accountId": bill["accountId"], **period}


def _unlocked(walk: Walk) -> dict[str, str]:
    return _bill(walk, status="PENDING")


def _approved(walk: Walk) -> dict[str, str]:
    return _bill(walk, status="APPROVED")


def _line(walk: Walk) -> dict[str, str]:
    bill = first_bill(walk.raw)
    return {"billId": bill["id"], "id": bill["lineItems"][0]["id"]}


def _memo(kind: str) -> Callable[[Walk], dict[str, str]]:
    def prepare(walk: Walk) -> dict[str, str]:
        values = _unlocked(walk)
        route = BY_PATH["POST", f"{ORG}/bills/{{billId}}/{kind}"]
        made = walk.raw.do("POST", f"/bills/{values['billId']}/{kind}", walk.body(route, ""))
        return {**values, "id": made["id"]}

    return prepare


def _given(kind: str) -> Callable[[Walk], dict[str, str]]:
    """A policy that was given to the principal the body names."""

    def prepare(walk: Walk) -> dict[str, str]:
        policy = walk.raw.all("/permissionpolicies")[0]["id"]
        body = {"principalId": walk.words("principalId", Field("string"))} if kind != "supportusers" else {}
        walk.raw.do("POST", f"/permissionpolicies/{policy}/addto{kind}", body)
        return {"permissionPolicyId": policy}

    return prepare


def _group(walk: Walk) -> dict[str, str]:
    group = walk.raw.all("/resourcegroups/products")[0]["id"]
    target = walk.words("targetId", Field("string"))
    walk.raw.do("POST", f"/resourcegroups/products/{group}/addresource", {"targetId": target, "targetType": "ITEM"})
    return {"resourceGroupId": group}


def _run(walk: Walk) -> dict[str, str]:
    run = walk.raw.do("GET", f"/integrationruns/Bill/latest/{walk.raw.all('/bills')[0]['id']}")
    return {"id": run["id"]} if run else {}


def _run_entity(walk: Walk) -> dict[str, str]:
    return {"id": walk.raw.all("/bills")[0]["id"]}


def _data(walk: Walk) -> dict[str, str]:
    """A revision that is not archived, with an entry."""
    table = walk.raw.all("/lookuptables")[0]["id"]
    revisions = walk.raw.all(f"/lookuptables/{table}/revisions")
    revision = next(row for row in revisions if row["status"] == "DRAFT")["id"]
    data = f"/lookuptables/{table}/revisions/{revision}/data"
    version = walk.raw.do("GET", data)["version"]
    body = {"items": [{"region": "eu", "rate": 1}]}
    walk.raw.do("PUT", data, {**body, "version": version} if version else body)
    return {"lookupTableId": table, "lookupTableRevisionId": revision}


def _data_job(walk: Walk) -> dict[str, str]:
    values = _data(walk)
    path = f"/lookuptables/{values['lookupTableId']}/revisions/{values['lookupTableRevisionId']}/data/jobs/download"
    return {**values, "id": walk.raw.do("POST", path, {"contentType": "text/csv"})["jobId"]}


PREPARE: dict[str, Callable[[Walk], dict[str, str]]] = {
    **dict.fromkeys(("DeleteBill", "ApproveAllBillsInBillingPeriod", "UpdateBillStatus"), _unlocked),
    **dict.fromkeys(
        ("GetAllBillsInBillingPeriod", "GetLatestBill", "PostCreditLineItem", "PostDebitLineItem"), _unlocked
    ),
    "LockBill": _approved,
    **dict.fromkeys(("GetBillLineItem", "GetBillLineItemJsonUsage"), _line),
    **dict.fromkeys(("GetCreditLineItem", "PutCreditLineItem", "DeleteCreditLineItem"), _memo("creditlineitems")),
    **dict.fromkeys(("GetDebitLineItem", "PutDebitLineItem", "DeleteDebitLineItem"), _memo("debitlineitems")),
    "RemovePermissionPolicyFromUser": _given("user"),
    "RemovePermissionPolicyFromUserGroup": _given("usergroup"),
    "RemovePermissionPolicyFromServiceUser": _given("serviceuser"),
    "RemovePermissionPolicyFromSupportUsers": _given("supportusers"),
    "RemoveResourceFromGroup": _group,
    **dict.fromkeys(("GetIntegrationRun", "GetIntegrationRunLogs"), _run),
    "GetIntegrationRunLatest": _run_entity,
    **{route.operation: _data for route in ROUTES if route.path.startswith(REVISION + "/data")},
    **{route.operation: _data_job for route in ROUTES if route.path.startswith(REVISION + "/data/jobs/{")},
}
