"""The seeded collections besides bills and balances: how many entities each holds, and what sets them apart.

The rows come from the contract's own tables, so that every declared field occurs; the ids are the ones that the seeded
bills and line items refer to, where they refer to any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from zlib import crc32

from m3ter_async.sandbox.contract import ROUTES, SCHEMAS, Field, Row
from m3ter_async.sandbox.contract.path_patterns import ORG
from m3ter_async.sandbox.seed_data.organization import Organization
from m3ter_async.sandbox.seed_data.sample_values import Sampler
from m3ter_async.sandbox.seed_data.seeded_random import Draw, draw

# The first number of every place drawn from here; those of `data` are below it.
COLLECTIONS_PLACE: Final = 200
EVENTS: Final = (
    "configuration.commitment.created",
    "configuration.commitment.updated",
    "billing.bill.created",
    "billing.bill.locked",
    "ingest.validation.failure",
)


class Seeds(NamedTuple):
    """How many entities a collection starts with, what one is called, and the fields that hold an id of it."""

    rows: int
    noun: str
    fields: tuple[str, ...] = ()
    pool: str = ""
    """The ids of the organization that bills and line items refer to; "" draws ids of its own."""


SEEDS: Final[dict[str, Seeds]] = {
    "/accounts": Seeds(36, "Account", ("accountId",), "account"),
    "/products": Seeds(12, "Product", ("productId",), "product"),
    "/plans": Seeds(24, "Plan", ("planId", "billingPlanId"), "plan"),
    "/plantemplates": Seeds(8, "Plan template", ("planTemplateId",)),
    "/plangroups": Seeds(4, "Plan group", ("planGroupId",)),
    "/plangrouplinks": Seeds(6, "Plan group link"),
    "/accountplans": Seeds(36, "Account plan"),
    "/meters": Seeds(24, "Meter", ("meterId",), "meter"),
    "/aggregations": Seeds(24, "Aggregation", ("aggregationId",), "other"),
    "/compoundaggregations": Seeds(4, "Compound aggregation", ("compoundAggregationId",)),
    "/counters": Seeds(24, "Counter", ("counterId",), "other"),
    "/counterpricings": Seeds(6, "Counter pricing"),
    "/pricings": Seeds(24, "Pricing", (), "pricing"),
    "/commitments": Seeds(24, "Commitment", ("commitmentId",), "other"),
    "/contracts": Seeds(12, "Contract", ("contractId",)),
    "/picklists/billgroupingkeys": Seeds(3, "Grouping key", ("billGroupingKeyId",)),
    "/picklists/creditreasons": Seeds(4, "Credit reason", ("creditReasonId",)),
    "/picklists/debitreasons": Seeds(4, "Debit reason", ("debitReasonId",)),
    "/picklists/transactiontypes": Seeds(24, "Transaction type", ("transactionTypeId",), "plan"),
    "/picklists/currency": Seeds(7, "Currency"),
    "/statementdefinitions": Seeds(3, "Statement", ("statementDefinitionId", "defaultStatementDefinitionId")),
    "/permissionpolicies": Seeds(5, "Policy", ("permissionPolicyId",)),
    "/users": Seeds(5, "User", ("principalId", "invitingPrincipalId"), "user"),
    "/invitations": Seeds(3, "Invitation"),
    "/resourcegroups/{type}": Seeds(3, "Group"),
    "/notifications/configurations": Seeds(4, "Notification"),
    "/scheduledevents/configurations": Seeds(3, "Scheduled event"),
    "/events": Seeds(20, "Event"),
    "/dataexports/destinations": Seeds(3, "Destination", ("destinationId",)),
    "/dataexports/schedules": Seeds(3, "Schedule", ("scheduleId",)),
    "/dataexports/jobs": Seeds(4, "Export"),
    "/fileuploads/measurements/jobs": Seeds(3, "Upload"),
    "/lookuptables": Seeds(3, "Lookup table", ("lookupTableId",)),
    "/lookuptables/{lookupTableId}/revisions": Seeds(3, "Revision"),
    "/integrationconfigs": Seeds(4, "Configuration", ("integrationConfigId",)),
    "/integrationdestinations/webhooks": Seeds(3, "Webhook"),
    "/integrationdestinations/marketplace/usageReport": Seeds(4, "Report"),
    "/integrationruns": Seeds(12, "Run"),
    "/externalmappings": Seeds(8, "Mapping"),
    "/usage/savedqueries": Seeds(3, "Query"),
    "/organizationconfig": Seeds(1, "Configuration"),
    "/customfields": Seeds(1, "Custom fields"),
    "/support": Seeds(1, "Support"),
}
PLACES: Final = {path: number for number, path in enumerate(SEEDS)}
NAMED: Final = {field: path for path, seeds in SEEDS.items() for field in seeds.fields}
SYSTEMS: Final = ("NETSUITE", "STRIPE", "SALESFORCE", "XERO")
ENTITIES: Final = ("Account", "Product", "Bill", "Contract")
STAMPS: Final = ("dtCreated", "dtLastModified", "createdBy", "lastModifiedBy")


def _entities() -> dict[str, dict[str, Field]]:
    """The fields of the entity behind each path: of a list's rows where there is a list, else of what GET answers."""
    found: dict[str, dict[str, Field]] = {}
    reads = [route for route in ROUTES if route.method == "GET" and route.answer is not None]
    for route in sorted(reads, key=lambda route: "pageSize" in route.query):
        fields = SCHEMAS.get((route.answer and route.answer.ref) or "", {})
        item = fields["data"].item if "data" in fields else None
        found[route.path] = SCHEMAS[item.ref or ""] if item is not None else fields
    # Where a list declares less than an entity has, or only views of a collection are listed.
    found[ORG + "/integrationruns"] = SCHEMAS["IntegrationRunResponse"]
    found[ORG + "/dataexports/destinations"] = SCHEMAS["ExportDestinationS3Response"]
    found[ORG + "/dataexports/schedules"] = SCHEMAS["OperationalDataExportConfigurationResponse"]
    return found


ENTITY_FIELDS: Final = _entities()


class SeededCollections:
    """Renders the seeded entities of one organization."""

    def __init__(self, organization: Organization) -> None:
        self._organization = organization
        self._sampler = Sampler(organization, SCHEMAS, self._referenced)
        self._ids: dict[tuple[str, tuple[str, ...]], Sequence[str]] = {}

    def rows(self, pattern: str, values: tuple[str, ...]) -> tuple[Sequence[str], Callable[[int], Row] | None]:
        """The ids of a path pattern's rows before anybody writes, and what renders the row at a position.

        `values` are the ids in its path.
        """
        path = pattern.removeprefix(ORG)
        parent = path.partition("/{")[0]
        # What lies under an entity that was created has been there for no longer than that.
        if path not in SEEDS or (parent in SEEDS and parent != path and values[0] not in self.ids(parent)):
            return (), None
        ids = self.ids(path, values)
        return ids, lambda position: self._row(path, ids, position)

    def ids(self, path: str, values: tuple[str, ...] = ()) -> Sequence[str]:
        """The ids that a collection starts with."""
        if (path, values) not in self._ids:
            self._ids[path, values] = self._draw_ids(path, values)
        return self._ids[path, values]

    def _draw_ids(self, path: str, values: tuple[str, ...]) -> Sequence[str]:
        organization, seeds = self._organization, SEEDS[path]
        if seeds.pool == "account":
            return [account.id for account in organization.accounts]
        if seeds.pool == "product":
            return [product_id for product_id, _, _ in organization.products]
        if seeds.pool in organization.known_ids:
            return organization.known_ids[seeds.pool]
        chance = draw(organization.seed, COLLECTIONS_PLACE, PLACES[path], *(crc32(value.encode()) for value in values))
        ids = [chance.uuid() for _ in range(seeds.rows)]
        if seeds.pool == "user":
            ids[0] = organization.user_id
        return [organization.id] if seeds.rows == 1 else ids

    def _referenced(self, name: str) -> Sequence[str]:
        if name == "billId":
            return self._organization.bill_ids
        path = NAMED.get(name) or ("/products" if name.endswith("AccountingProductId") else None)
        return () if path is None else self.ids(path)

    def _row(self, path: str, ids: Sequence[str], position: int) -> Row:
        seeds, fields = SEEDS[path], ENTITY_FIELDS[ORG + path]
        chance = draw(self._organization.seed, COLLECTIONS_PLACE + 1, PLACES[path], crc32(ids[position].encode()))
        row = self._sampler.row(fields, chance)
        code = f"{seeds.noun.lower().replace(' ', '-')}-{position:03d}"
        row.update(id=ids[position], version=1, name=f"{seeds.noun} {position}", code=code, archived=False)
        created = self._organization.day(900 - position) + "T09:00:00Z"
        author = self._organization.user_id
        row.update(zip(STAMPS, (created, created, author, author), strict=True))
        special = SPECIAL.get(path)
        if special is not None:
            row.update(special(self._organization, position, chance))
        # A report of usage has no id; a table needs one.
        return {name: value for name, value in row.items() if name in fields or name == "id"}


def _account(organization: Organization, position: int, _chance: Draw) -> Row:
    account = organization.accounts[position]
    # The first accounts are the parents of every fourth one.
    parent = organization.accounts[position // 12].id if position >= 12 and position % 4 == 0 else None
    email = f"billing@{account.code}.example.com"
    own: Row = {"code": account.code, "currency": account.currency, "parentAccountId": parent, "emailAddress": email}
    return {**own, "statementDefinitionId": None}


def _product(organization: Organization, position: int, _chance: Draw) -> Row:
    _, name, code = organization.products[position]
    return {"name": name, "code": code}


def _meter(organization: Organization, position: int, _chance: Draw) -> Row:
    measure = {"category": "MEASURE", "code": "value", "name": "Value", "unit": "GB"}
    where = {"category": "WHERE", "code": "region", "name": "Region"}
    product, _, _ = organization.products[position % 12]
    return {"dataFields": [measure, where], "derivedFields": [], "groupId": None, "productId": product}


def _currency(_organization: Organization, position: int, _chance: Draw) -> Row:
    code = ("USD", "EUR", "GBP", "JPY", "CHF", "AUD", "NZD")[position]
    return {"code": code, "name": code, "maxDecimalPlaces": 0 if code == "JPY" else 2}


def _user(organization: Organization, position: int, _chance: Draw) -> Row:
    names = {"firstName": ("Ada", "Grace", "Edsger", "Barbara", "Tony")[position], "lastName": f"User {position}"}
    return {**names, "organizations": [organization.id], "email": f"user-{position}@example.com", "supportUser": False}


def _event(organization: Organization, position: int, chance: Draw) -> Row:
    name = EVENTS[position % len(EVENTS)]
    moment = organization.day(position) + "T10:00:00Z"
    entity = {"id": chance.uuid(), "accountId": chance.pick(organization.accounts).id}
    about: Row = {"new": entity} if name.startswith("ingest") else {"eventData": {"newDto": entity}}
    event = {"id": chance.uuid(), "eventName": name, "eventTime": moment, **about}
    return {"eventName": name, "eventTime": moment, "m3terEvent": event, "dtActioned": moment if position % 3 else None}


def _export_destination(_organization: Organization, _position: int, _chance: Draw) -> Row:
    return {"destinationType": "S3"}


def _schedule(_organization: Organization, _position: int, _chance: Draw) -> Row:
    return {"sourceType": "OPERATIONAL", "scheduleType": "DAY"}


def _revision(_organization: Organization, position: int, _chance: Draw) -> Row:
    fields = [{"name": "region", "type": "STRING"}, {"name": "rate", "type": "NUMBER"}]
    status = ("DRAFT", "PUBLISHED", "ARCHIVED")[position % 3]
    return {"fields": fields, "keys": ["region"], "status": status, "itemCount": 0}


def _integration(organization: Organization, position: int, _chance: Draw) -> Row:
    bills = organization.bill_ids
    entity = bills[position % len(bills)] if bills else organization.id
    own: Row = {"entityType": "Bill", "entityId": entity, "destination": SYSTEMS[position % 2]}
    return {**own, "configData": {}, "status": "COMPLETE", "destinationId": None, "error": None}


def _mapping(organization: Organization, position: int, _chance: Draw) -> Row:
    system, account = SYSTEMS[position % len(SYSTEMS)], organization.accounts[position].id
    outside = {"externalSystem": system, "externalTable": "customers", "externalId": f"cus_{position:04d}"}
    return {"m3terEntity": "Account", "m3terId": account, **outside}


def _report(organization: Organization, _position: int, chance: Draw) -> Row:
    return {"externalSystem": "AWS", "reportedUsage": {"usage": {"GB": chance.pick(organization.units)}}}


def _webhook(_organization: Organization, _position: int, _chance: Draw) -> Row:
    return {"credentials": None}


def _upload(organization: Organization, position: int, _chance: Draw) -> Row:
    counts = {"contentLength": 1000, "totalRows": 10, "processedRows": 10, "failedRows": position % 2}
    uploaded = organization.day(position + 1) + "T08:00:00Z"
    return {"fileName": f"measurements-{position}.json", "uploadDate": uploaded, "status": "succeeded", **counts}


def _export_job(organization: Organization, position: int, _chance: Draw) -> Row:
    moment = organization.day(position + 1) + "T03:00:00Z"
    return {"status": "SUCCEEDED", "startedAt": moment, "dateCreated": moment}


def _organization_config(_organization: Organization, _position: int, _chance: Draw) -> Row:
    return {"currency": "USD", "currencyConversions": [], "sequenceStartNumber": 1}


# What of a seeded row is not left to its type.
SPECIAL: Final[dict[str, Callable[[Organization, int, Draw], Row]]] = {
    "/accounts": _account,
    "/products": _product,
    "/meters": _meter,
    "/picklists/currency": _currency,
    "/users": _user,
    "/events": _event,
    "/dataexports/destinations": _export_destination,
    "/dataexports/jobs": _export_job,
    "/dataexports/schedules": _schedule,
    "/fileuploads/measurements/jobs": _upload,
    "/lookuptables/{lookupTableId}/revisions": _revision,
    "/integrationconfigs": _integration,
    "/integrationruns": _integration,
    "/integrationdestinations/webhooks": _webhook,
    "/integrationdestinations/marketplace/usageReport": _report,
    "/externalmappings": _mapping,
    "/organizationconfig": _organization_config,
}
