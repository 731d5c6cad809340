"""Every operation answers, with all its parameters and a full body, and answers what the contract says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from m3ter_async.sandbox import Sandbox
from m3ter_async.sandbox.contract import ROUTES, Field, Route

from .. import contract
from .raw import DECODER, Json, Raw, RawFactory
from .test_sandbox_contract import faults
from .walk import Walk

# Where the document declares another type than the one that is answered: what is answered.
TRULY = {
    "GetIntegrationConfig": "IntegrationConfigResponse",
    "PostCompoundAggregation": "CompoundAggregationResponse",
    "PutCompoundAggregation": "CompoundAggregationResponse",
}


@pytest.fixture
def walk() -> Iterator[Walk]:
    with Sandbox(seed=3, bills=40, empty_pages=False) as sandbox:
        raw = Raw(sandbox)
        with closing(raw.http):
            yield Walk(raw)


def table_faults(answer: Json, route: Route) -> list[str]:
    declared = Field("object", ref=TRULY[route.operation]) if route.operation in TRULY else route.answer
    if declared is None:
        return [] if answer is None else [f"{route.operation}: {answer!r} where nothing is declared"]
    if declared.any_of:
        found = [faults(answer, choice, route.operation) for choice in declared.any_of]
        return min(found, key=len)
    return faults(answer, declared, route.operation)


@pytest.mark.parametrize("route", [one for one in ROUTES if one.body], ids=lambda route: route.operation)
def test_no_body_that_the_contract_allows_is_an_error_of_the_server(start: RawFactory, route: Route) -> None:
    raw = start(bills=20, empty_pages=False)
    for last, required in ((True, False), (False, True), (True, True)):
        answer = Walk(raw, last=last, required=required).send(route)
        assert answer.status_code < 500, answer.text
        if answer.status_code == 200:
            # The document hides the fields of a discriminated group behind a cycle; the tables have them.
            assert table_faults(DECODER.decode(answer.content), route) == []
        else:
            assert answer.json()["message"]


def says_the_contract(answer: Json, route: Route) -> None:
    """Check an answer against the tables and, where it is at hand, against the document itself."""
    assert table_faults(answer, route) == []
    declared = DECLARED.get(route.operation)
    if declared is not None and declared.answer is not None:
        truly = TRULY.get(route.operation)
        schema = {"$ref": f"#/components/schemas/{truly}"} if truly else declared.answer
        assert list(contract.faults(answer, schema, route.operation, answer=True)) == []


DECLARED = {operation.id: operation for operation in contract.operations()}


# Reads in the clothes of a POST: nothing is stored, and nothing counted.
READS = {
    "GenerateToken",
    "PreviewBill",
    "PreviewScheduledCharge",
    "PreviewBalanceTransactionSchedule",
    "PostUsageDataQuery",
    "PostQueryBillData",
    "EvaluateCalculation",
    "ListResourceGroupsForId",
    "DownloadBillsCsvUrl",
    "GenerateUploadUrl",
    "GenerateLookupTableDataUploadUrl",
    "GetLookupTableRevisionArchivedDataUrl",
}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
def test_every_operation_answers_what_the_contract_says(walk: Walk, route: Route) -> None:
    answer = walk.call(route)
    says_the_contract(answer, route)
    assert bool(walk.raw.sandbox.applied[route.operation]) == (route.method != "GET" and route.operation not in READS)
