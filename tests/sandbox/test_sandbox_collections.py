"""The life of every collection that has one: created, read back, listed, changed and deleted."""

from __future__ import annotations

import pytest

from m3ter_async.sandbox.contract import ROUTES, Route

from .raw import Json, Raw, RawFactory
from .test_sandbox_walk import says_the_contract
from .walk import BY_PATH, ORG, Walk

CREATES = [
    route
    for route in ROUTES
    if route.method == "POST" and all((method, route.path + "/{id}") in BY_PATH for method in ("GET", "PUT", "DELETE"))
]
# What a request takes and an answer does not show.
HIDDEN = {"accountingProductId", "reasonId", "amountToApplyOnBill", "credentials"}


def shown(body: Json) -> Json:
    return {name: value for name, value in body.items() if name not in HIDDEN}


def start_walk(raw: Raw, route: Route) -> tuple[Walk, str, Json]:
    walk = Walk(raw)
    path = walk.path(route)
    return walk, path, walk.body(route, path)


@pytest.mark.parametrize("route", CREATES, ids=lambda route: route.path.removeprefix(ORG))
def test_a_collection_lives(start: RawFactory, route: Route) -> None:
    raw = start(empty_pages=False, bills=20)
    walk, path, body = start_walk(raw, route)
    made = raw.do("POST", path, body)
    one = f"{path}/{made['id']}"
    assert made["version"] == 1
    assert shown(body).items() <= made.items()
    assert raw.do("GET", one) == made
    assert raw.all(path)[0]["id"] == made["id"]
    change = {**walk.body(BY_PATH["PUT", route.path + "/{id}"], one), "version": 1}
    assert "version" in raw.refused(409, "PUT", one, {**change, "version": 7})
    changed = raw.do("PUT", one, change)
    assert changed["version"] == 2
    assert changed.get("dtCreated") == made.get("dtCreated")
    assert raw.do("GET", one) == changed
    assert raw.do("DELETE", one) == changed
    raw.refused(404, "GET", one)
    raw.refused(404, "PUT", one, change)
    raw.refused(404, "DELETE", one)
    assert made["id"] not in [row["id"] for row in raw.all(path)]


@pytest.mark.parametrize("route", CREATES, ids=lambda route: route.path.removeprefix(ORG))
def test_a_bad_body_is_refused_by_the_name_of_the_field(start: RawFactory, route: Route) -> None:
    raw = start(empty_pages=False, bills=20)
    _, path, body = start_walk(raw, route)
    before = dict(raw.sandbox.applied)
    assert raw.refused(400, "POST", path, {**body, "nonsense": 1}).startswith("nonsense:")
    assert "version" in raw.refused(400, "POST", path, {**body, "version": 1})
    wrong = next(name for name, value in body.items() if isinstance(value, str))
    assert wrong in raw.refused(400, "POST", path, {**body, wrong: 5})
    assert dict(raw.sandbox.applied) == before


LISTS = [
    route for route in ROUTES if route.method == "GET" and "nextToken" in route.query and "{" not in route.path[25:]
]


@pytest.mark.parametrize("route", LISTS, ids=lambda route: route.operation)
def test_a_list_pages_up_to_its_declared_maximum(shared: Raw, route: Route) -> None:
    path = route.path[len(ORG) :]
    most = int(route.query["pageSize"].maximum or 0)
    shared.do("GET", path, pageSize=most)
    for size in (0, most + 1):
        assert shared.refused(400, "GET", path, pageSize=size).startswith("pageSize:")
    assert shared.refused(400, "GET", path, nextToken="made-up").startswith("nextToken:")
    assert shared.refused(400, "GET", path, nonsense=1).startswith("nonsense:")
    whole = shared.all(path, pageSize=most)
    says_the_contract({"data": whole[:500]}, route)
    assert shared.all(path, pageSize=min(most, max(1, len(whole) // 3))) == whole


def test_the_common_listings_have_several_pages(shared: Raw) -> None:
    for path in ("/accounts", "/products", "/plans", "/meters", "/aggregations", "/pricings", "/commitments"):
        assert len(shared.all(path, pageSize=3)) >= 10
    for path in ("/users", "/lookuptables", "/events", "/picklists/creditreasons", "/dataexports/destinations"):
        assert len(shared.all(path)) >= 3


def test_bills_refer_to_entities_that_exist(shared: Raw) -> None:
    bill = shared.all("/bills")[0]
    account = shared.do("GET", f"/accounts/{bill['accountId']}")
    assert (account["code"], account["currency"]) == (bill["accountCode"], bill["currency"])
    kinds = {"productId": "products", "planId": "plans", "meterId": "meters", "aggregationId": "aggregations"}
    kinds |= {"pricingId": "pricings", "counterId": "counters", "commitmentId": "commitments"}
    lines = [line for one in shared.all("/bills")[:30] for line in one["lineItems"]]
    for field, path in kinds.items():
        wanted = next(line[field] for line in lines if field in line)
        assert shared.do("GET", f"/{path}/{wanted}")["id"] == wanted
    product = next(line for line in lines)
    assert shared.do("GET", f"/products/{product['productId']}")["code"] == product["productCode"]


def test_filters_do_what_they_are_called(shared: Raw) -> None:
    accounts = shared.all("/accounts")
    chosen = accounts[3:5]
    assert shared.all("/accounts", codes=",".join(row["code"] for row in chosen)) == chosen
    assert shared.all("/accounts", ids=",".join(row["id"] for row in chosen)) == chosen
    for path, name, field in [
        ("/accountplans", "account", "accountId"),
        ("/accountplans", "plan", "planId"),
        ("/plangrouplinks", "planGroup", "planGroupId"),
        ("/meters", "productId", "productId"),
        ("/contracts", "accountId", "accountId"),
        ("/externalmappings", "externalSystemId", "externalSystem"),
        ("/notifications/configurations", "eventName", "eventName"),
    ]:
        rows = shared.all(path)
        value = next(row[field] for row in rows if row.get(field) is not None)
        found = shared.all(path, **{name: value})
        assert found == [row for row in rows if row.get(field) == value] != []
    for flag in ("true", "false"):
        found = shared.all("/notifications/configurations", active=flag)
        assert all(row["active"] == (flag == "true") for row in found)
    rows = shared.all("/commitments")
    product = next(row["productIds"][0] for row in rows if row.get("productIds"))
    assert shared.all("/commitments", productId=product) == [r for r in rows if product in (r.get("productIds") or ())]
    date = rows[5]["startDate"]
    for row in shared.all("/commitments", date=date):
        assert row["startDate"] <= date < row.get("endDate", "9")
    assert "date" in shared.refused(400, "GET", "/commitments", date="soon")


def test_account_plans_in_force_and_runs_in_order(shared: Raw) -> None:
    plans = shared.all("/accountplans", includeall="true")
    assert plans == shared.all("/accountplans")
    ended = shared.all("/accountplans", includeall="false")
    assert all(row.get("endDate") is None or row["endDate"] > "2025-06-30" for row in ended)
    run = shared.do("GET", "/integrationruns/Bill/latest")
    path = f"/integrationruns/Bill/{run['entityId']}"
    assert shared.all(path, order="ASC") == shared.all(path, order="DESC")[::-1] != []


def test_children_are_listed_by_their_parent(shared: Raw) -> None:
    child = next(row for row in shared.all("/accounts") if row.get("parentAccountId"))
    children = shared.all(f"/accounts/{child['parentAccountId']}/children")
    assert child in children
    assert {row["parentAccountId"] for row in children} == {child["parentAccountId"]}
    shared.refused(404, "GET", "/accounts/nobody/children")


def test_accounts_and_commitments_are_searched(shared: Raw) -> None:
    found = shared.do("GET", "/accounts/search", searchQuery="code~account-00$currency:USD", pageSize=50)["data"]
    assert found
    assert all(row["code"].startswith("account-00") and row["currency"] == "USD" for row in found)
    rows = shared.do("GET", "/commitments/search", searchQuery="amount>=5", sortBy="amount", sortOrder="ASC")["data"]
    assert [row["amount"] for row in rows] == sorted(row["amount"] for row in rows)
    assert "searchQuery" in shared.refused(400, "GET", "/accounts/search", searchQuery="code")


def test_unknown_ids_are_404_in_every_path(shared: Raw) -> None:
    for route in ROUTES:
        if route.method == "GET" and route.path.endswith("/{id}"):
            path = "/".join("nobody" if part.startswith("{") else part for part in route.path[len(ORG) :].split("/"))
            assert shared.ask("GET", path).status_code == 404, route.operation
