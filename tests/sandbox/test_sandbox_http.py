"""Who may call, how often, and how a refusal looks."""

from __future__ import annotations

import http.client
import time
from urllib.parse import urlsplit

import httpx
import pytest

from .raw import Raw, RawFactory

GRANT = {"grant_type": "client_credentials"}


def test_a_token_is_given_for_basic_credentials(raw: Raw) -> None:
    box = raw.sandbox
    answer = raw.http.post("/oauth/token", auth=(box.api_key, box.api_secret), json=GRANT).json()
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 18000
    assert answer["scope"] is None
    assert answer["access_token"]
    form = raw.http.post("/oauth/token", auth=(box.api_key, box.api_secret), data=GRANT)
    assert form.status_code == 200


def test_wrong_credentials_are_a_401(raw: Raw) -> None:
    box = raw.sandbox
    for auth in ((box.api_key, "wrong"), ("wrong", box.api_secret), ("", "")):
        assert raw.http.post("/oauth/token", auth=auth, json=GRANT).status_code == 401
    for header in (b"Basic", b"Basic ???", b"Bearer x", b"Basic \xc3\xa9"):
        answer = raw.http.post("/oauth/token", headers={b"Authorization": header}, json=GRANT)
        assert answer.status_code == 401


def test_another_grant_is_a_400(raw: Raw) -> None:
    box = raw.sandbox
    answer = raw.http.post("/oauth/token", auth=(box.api_key, box.api_secret), json={"grant_type": "password"})
    assert answer.status_code == 400
    assert "grant_type" in answer.json()["message"]


def test_tokens_end_and_are_then_answered_403_unauthorized(start: RawFactory) -> None:
    raw = start(token_seconds=0.3)
    raw.log_in()
    raw.do("GET", "/billconfig")
    time.sleep(0.35)
    assert raw.refused(403, "GET", "/billconfig") == "Unauthorized"
    raw.log_in()
    raw.do("GET", "/billconfig")


def test_all_tokens_can_be_ended_at_once(raw: Raw) -> None:
    raw.sandbox.expire_tokens()
    assert raw.refused(403, "GET", "/billconfig") == "Unauthorized"
    raw.log_in()
    raw.do("GET", "/billconfig")


def test_no_token_and_an_unknown_token_are_a_401(raw: Raw) -> None:
    for header in ("Bearer made-up", "Bearer", "Basic eDp5", ""):
        raw.http.headers["Authorization"] = header
        raw.refused(401, "GET", "/bills")
    del raw.http.headers["Authorization"]
    raw.refused(401, "GET", "/bills")


def test_another_organization_is_a_403(raw: Raw) -> None:
    answer = raw.http.get("/organizations/another/bills")
    assert answer.status_code == 403
    assert "orgId" in answer.json()["message"]


def test_unknown_paths_are_404_and_other_methods_405(raw: Raw) -> None:
    raw.refused(404, "GET", "/nothing")
    raw.refused(404, "GET", "/bills/x/y/z")
    raw.refused(404, "GET", "/bills//lineitems")
    raw.refused(405, "PATCH", "/bills")
    raw.refused(405, "DELETE", "/billconfig")


def test_unknown_ids_are_404_wherever_they_stand(raw: Raw) -> None:
    bill = raw.do("GET", "/bills/search", pageSize=1)["data"][0]["id"]
    for method, path in [
        ("GET", "/bills/x"),
        ("DELETE", "/bills/x"),
        ("PUT", "/bills/x/lock"),
        ("GET", "/bills/x/lineitems"),
        ("GET", f"/bills/{bill}/lineitems/x"),
        ("GET", f"/bills/{bill}/lineitems/x/usage/json"),
        ("GET", f"/bills/{bill}/creditlineitems/x"),
        ("GET", "/bills/x/creditlineitems"),
        ("GET", "/bills/x/statement/csv"),
        ("GET", "/balances/x"),
        ("GET", "/balances/x/transactions"),
        ("GET", "/balances/x/transactions/summary"),
        ("GET", "/billjobs/x"),
        ("POST", "/statementjobs/x/cancel"),
        ("GET", "/bills/a%2Fb"),
    ]:
        raw.refused(404, method, path)


def test_every_answer_carries_a_request_id(raw: Raw) -> None:
    seen = {raw.ask("GET", path).headers["x-amzn-requestid"] for path in ("/bills", "/x", "/billconfig", "/billconfig")}
    assert len(seen) == 4


def test_over_the_limit_is_429_for_the_rest_of_the_second(start: RawFactory) -> None:
    raw = start(rate_limit=5)
    while True:
        # A second may turn over in between; then try again.
        second = int(time.monotonic())
        answers = [raw.ask("GET", "/billconfig") for _ in range(8)]
        if second == int(time.monotonic()):
            break
    codes = [answer.status_code for answer in answers]
    assert codes[-3:] == [429] * 3
    assert "Retry-After" not in answers[-1].headers
    assert answers[-1].json()["message"]
    time.sleep(1 - time.monotonic() % 1 + 0.01)
    raw.do("GET", "/billconfig")


def test_retry_after_is_sent_where_it_is_asked_for(start: RawFactory) -> None:
    raw = start(rate_limit=1, retry_after=2)
    answers = [raw.ask("GET", "/billconfig") for _ in range(6)]
    assert "2" in {answer.headers.get("Retry-After") for answer in answers if answer.status_code == 429}


def test_a_write_takes_effect_though_its_caller_gave_up_waiting(start: RawFactory) -> None:
    raw = start(latency=0.4)
    body = {"counterId": "c", "accountId": "a", "date": "2025-03-01", "value": 5}
    with pytest.raises(httpx.ReadTimeout):
        raw.http.post(raw.org + "/counteradjustments", json=body, timeout=0.15)
    assert raw.sandbox.applied["PostCounterAdjustment"] == 1


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"1", "not a JSON object"),
        (b"", "missing"),
        (b'"\xff"', "not JSON"),
        (b'{"a":NaN}', "not JSON"),
    ],
)
def test_a_body_that_is_no_json_object_is_a_400(raw: Raw, content: bytes, named: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = raw.http.post(raw.org + "/charges", content=content, headers=headers)
    assert answer.status_code == 400
    assert named in answer.json()["message"]


def test_a_body_of_another_content_type_is_a_400(raw: Raw) -> None:
    answer = raw.http.post(raw.org + "/charges", content=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 400
    assert "Content-Type" in answer.json()["message"]


def test_a_body_where_none_belongs_is_a_400(raw: Raw) -> None:
    bill = raw.do("GET", "/bills/search", pageSize=1)["data"][0]["id"]
    assert "body" in raw.refused(400, "PUT", f"/bills/{bill}/lock", {"version": 1})


def test_a_huge_body_is_a_413(raw: Raw) -> None:
    address = urlsplit(raw.sandbox.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    try:
        headers = {"Authorization": raw.http.headers["Authorization"], "Content-Type": "application/json"}
        connection.request("POST", raw.org + "/charges", body=b" " * (2 << 20), headers=headers)
        answer = connection.getresponse()
        assert answer.status == 413
        assert b"message" in answer.read()
    finally:
        connection.close()


def test_requests_are_counted_whatever_their_answer(raw: Raw) -> None:
    raw.do("GET", "/bills")
    raw.refused(400, "GET", "/bills", pageSize=0)
    raw.sandbox.expire_tokens()
    raw.refused(403, "GET", "/bills")
    assert raw.sandbox.requests["ListBills"] == 3
    assert raw.sandbox.requests["GenerateToken"] == 1
    assert not raw.sandbox.applied
