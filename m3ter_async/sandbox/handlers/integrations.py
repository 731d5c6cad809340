"""Integrations with other systems: which there are, what can be set up, and how their runs went."""

from __future__ import annotations

from typing import Final

from m3ter_async.sandbox.call_context import Call, Handler, World
from m3ter_async.sandbox.contract import Row
from m3ter_async.sandbox.contract.path_patterns import ORG, RUNS
from m3ter_async.sandbox.refusal import Refusal
from m3ter_async.sandbox.seed_data.collections import ENTITIES, SYSTEMS

CONFIGS: Final = ORG + "/integrationconfigs"
AUTH: Final = {"NETSUITE": "OAUTH_CLIENT_CREDENTIALS", "STRIPE": "HTTP_BASIC"}
TABLES: Final = ("customers", "invoices", "items")
# The contract shows nothing of options besides whether there are any.
NO_OPTIONS: Final = {"empty": True}


def _system(name: str, parameter: str) -> str:
    if name not in SYSTEMS:
        raise Refusal(404, f"{parameter}: there is no system {name}")
    return name


def _entity(name: str) -> str:
    if name not in ENTITIES:
        raise Refusal(404, f"entityType: there is no entity {name}")
    return name


def _auth(system: str) -> str:
    return AUTH.get(system, "OAUTH_CODE")


def available(_world: World, call: Call) -> Row:
    """GET /integrationconfigs/available: what can be integrated with what."""
    system, entity = call.query.get("systemName"), call.query.get("entityType")
    systems = [_system(system, "systemName")] if system else list(SYSTEMS)
    entities = [_entity(entity)] if entity else list(ENTITIES)
    destinations = [_destination(name) for name in systems]
    supported: Row = {
        name: {
            "readableName": name,
            "destinations": destinations,
            "entityConfigurationOptions": NO_OPTIONS,
            "released": True,
        }
        for name in entities
    }
    selected = dict.fromkeys(entities, NO_OPTIONS)
    return {
        "supportedEntities": supported,
        "selectedConfigurations": selected,
        "globalConfigurationOptions": NO_OPTIONS,
    }


def _destination(system: str) -> Row:
    options = {"destinationConfigOptions": NO_OPTIONS, "authConfigOptions": NO_OPTIONS, "released": True}
    named = {"apiName": system, "destination": system, "displayName": system.title()}
    return {**named, **options, "authType": _auth(system), "categories": ["BILLING"]}


def systems(_world: World, call: Call) -> list[Row]:
    """GET /integrationconfigs/available/systems: a bare array."""
    if "entityType" in call.query:
        _entity(call.query["entityType"])
    named = [{"identifier": name, "displayName": name.title(), "validationSupported": True} for name in SYSTEMS]
    return [{**row, "supportedAuthTypes": [_auth(str(row["identifier"]))]} for row in named]


def entities_of_system(_world: World, call: Call) -> list[Row]:
    """GET /integrationconfigs/available/{systemName}/entities: a bare array."""
    _system(call.path["systemName"], "systemName")
    return [{"entityType": name, "readableName": name} for name in ENTITIES]


def auth_options(_world: World, call: Call) -> Row:
    """GET /integrationconfigs/available/{systemName}/auth/{entityType}."""
    _system(call.path["systemName"], "systemName")
    _entity(call.path["entityType"])
    return NO_OPTIONS


def option_values(_world: World, call: Call) -> Row:
    """GET /integrationconfigs/values/{systemName}/{configOption}: declared to answer a single value."""
    system, option = _system(call.path["systemName"], "systemName"), call.path["configOption"]
    return {"id": f"{system}-{option}", "label": option}


def config_for_type(world: World, call: Call) -> Row:
    """GET /integrationconfigs/entity/{entityType}: the newest that fits, in the form of a run, as it is declared."""
    wanted = {"entityType": call.path["entityType"]}
    wanted.update({name: value for name, value in call.query.items() if name in ("entityId", "destination")})
    for _, row in world.store.table(CONFIGS, {}).walk():
        if all(row.get(name) == value for name, value in wanted.items()):
            fields = world.fields(call.route.answer)
            status = "COMPLETE" if row.get("enabled") else "WAITING"
            kept = {name: value for name, value in row.items() if name in fields}
            return {**kept, "entityId": row.get("entityId") or row["id"], "status": status}
    raise Refusal(404, "entityType: there is no configuration that fits")


def _latest(world: World, entity: str, ids: list[str] | None) -> Row:
    for _, row in world.store.table(RUNS, {}).walk():
        if row["entityType"] == entity and (ids is None or row["entityId"] in ids):
            return row
    raise Refusal(404, "entityType: there is no run for it")


def latest_for_ids(world: World, call: Call) -> Row:
    """GET /integrationruns/{entityType}/latest: of the entities named, or of all of the type."""
    return _latest(world, call.path["entityType"], call.query.get("ids"))


def latest(world: World, call: Call) -> Row:
    """GET /integrationruns/{entityType}/latest/{id}."""
    return _latest(world, call.path["entityType"], [call.path["id"]])


def run_logs(world: World, call: Call) -> Row:
    """GET /integrationruns/logs/{id}."""
    run = world.store.row(RUNS, call.path)
    return {"Payload": f"{run['entityType']} {run['entityId']} was sent to {run['destination']}"}


def mapping_configuration(_world: World, _call: Call) -> Row:
    """GET /externalmappingconfiguration."""
    outside = [{"name": name, "tables": list(TABLES), "allowCustomExternalTables": True} for name in SYSTEMS]
    return {"m3terEntities": list(ENTITIES), "externalSystems": outside}


def mapping_options(_world: World, call: Call) -> list[Row]:
    """GET /externalmappingconfiguration/values/...: a bare array, with credentials in the path or without."""
    system = _system(call.path["destination"], "destination")
    table = call.query.get("externalTable", TABLES[0])
    return [{"externalId": f"{system}-{table}-{number}", "externalName": f"{table} {number}"} for number in range(3)]


HANDLERS: Final[dict[str, Handler]] = {
    "GetAvailableConfig": available,
    "GetAvailableSystems": systems,
    "GetAvailableSystemEntities": entities_of_system,
    "GetAvailableAuthForSystemAndEntityType": auth_options,
    "GetConfigOptionValues": option_values,
    "GetIntegrationConfigForType": config_for_type,
    "GetIntegrationRunLatestForIds": latest_for_ids,
    "GetIntegrationRunLatest": latest,
    "GetIntegrationRunLogs": run_logs,
    "GetExternalMappingConfiguration": mapping_configuration,
    "GetExternalMappingOptionsForDestination": mapping_options,
    "GetExternalMappingOptionsForDestinationForCredentialsId": mapping_options,
}
