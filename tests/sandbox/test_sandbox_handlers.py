"""The operations with a life of their own: files, jobs, measurements, lookup tables, policies and integrations."""

from __future__ import annotations

import time

import httpx
import msgspec
import pytest

from m3ter_async.sandbox import Sandbox

from .raw import DECODER, Json, Raw

UPLOADS = "/fileuploads/measurements"


def measurement(raw: Raw, **more: Json) -> Json:
    meter, account = raw.all("/meters")[0]["code"], raw.all("/accounts")[0]["code"]
    body = {"meter": meter, "account": account, "ts": "2025-06-01T10:00:00Z", "measure": {"value": 2}}
    return {**body, "where": {"region": "eu"}, **more}


def fetch(url: str) -> bytes:
    answer = httpx.get(url, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.content


def upload(url: str, headers: dict[str, str], content: bytes) -> int:
    return httpx.put(url, headers=headers, content=content, trust_env=False).status_code


def test_measurements_are_accepted_before_they_are_validated(raw: Raw) -> None:
    good, bad = measurement(raw, uid="1"), measurement(raw, uid="2", meter="nobody")
    assert raw.do("POST", "/measurements", {"measurements": [good, bad]}) == {"result": "accepted"}
    event = raw.all("/events", eventName="ingest.validation.failure")[0]["m3terEvent"]["new"]
    assert event["failures"] == 1
    answer = raw.http.get(event["getDownloadUrl"])
    (failure,) = DECODER.decode(fetch(answer.json()["url"]))
    assert failure["error"].startswith("meter:")
    assert failure["measurement"]["uid"] == "2"
    assert raw.do("GET", "/measurements/failedIngest/getDownloadUrl", file=event["file"])["url"]
    assert "file" in raw.refused(404, "GET", "/measurements/failedIngest/getDownloadUrl", file="nobody")


def test_a_measurement_counts_once_for_its_uid_and_can_be_queried(raw: Raw) -> None:
    same = measurement(raw, uid="same")
    for _ in range(3):
        raw.do("POST", "/measurements", {"measurements": [same, measurement(raw, where={"region": "us"})]})
    meter = raw.all("/meters")[0]["id"]
    total = {"meterId": meter, "fieldCode": "value", "fieldType": "MEASURE", "function": "SUM"}
    group = {"groupType": "DIMENSION", "meterId": meter, "fieldCode": "region"}
    answer = raw.do("POST", "/usage/query", {"aggregations": [total], "groups": [group]})
    assert answer == {
        "data": [{"region": "eu", "value.SUM": 2}, {"region": "us", "value.SUM": 6}],
        "hasMoreData": False,
    }
    assert raw.do("POST", "/usage/query", {"limit": 1})["hasMoreData"] is True
    assert raw.do("POST", "/usage/query", {"startDate": "2025-06-02T00:00:00Z"})["data"] == []


def test_too_many_or_too_large_measurements_are_refused(raw: Raw) -> None:
    one = measurement(raw)
    assert "measurements" in raw.refused(400, "POST", "/measurements", {"measurements": [one] * 1001})
    large = {"measurements": [measurement(raw, metadata={"x": "y" * 1000})] * 600}
    assert "512000" in raw.refused(403, "POST", "/measurements", large)
    assert not raw.sandbox.applied


def test_an_uploaded_file_becomes_measurements(raw: Raw) -> None:
    content = msgspec.json.encode([measurement(raw, uid=str(number)) for number in range(3)] + [{"uid": "bad"}])
    ask = {"fileName": "usage.json", "contentType": "application/json", "contentLength": len(content)}
    made = raw.do("POST", UPLOADS + "/generateUploadUrl", ask)
    job = f"{UPLOADS}/jobs/{made['jobId']}"
    assert raw.do("GET", job)["status"] == "notUploaded"
    raw.refused(404, "GET", job + "/original")
    assert made["url"].startswith(raw.sandbox.url)
    assert upload(made["url"][:-4] + "0000", made["headers"], content) == 403
    assert upload(made["url"], {"Content-Type": "text/plain"}, content) == 403
    assert upload(made["url"], {**made["headers"], "Authorization": "Bearer x"}, content) == 400
    assert upload(made["url"], made["headers"], content) == 200
    assert [raw.do("GET", job)["status"] for _ in range(2)] == ["running", "succeeded"]
    done = raw.do("GET", job)
    assert (done["totalRows"], done["processedRows"], done["failedRows"]) == (4, 3, 1)
    assert fetch(raw.do("GET", job + "/original")["url"]) == content
    assert len(raw.do("POST", "/usage/query", {})["data"]) == 3


def test_a_large_file_is_uploaded_too_and_nonsense_fails(raw: Raw) -> None:
    ask = {"fileName": "usage.json", "contentType": "application/json", "contentLength": 3 << 20}
    made = raw.do("POST", UPLOADS + "/generateUploadUrl", ask)
    assert upload(made["url"], made["headers"], b" " * (3 << 20)) == 200
    assert [raw.do("GET", f"{UPLOADS}/jobs/{made['jobId']}")["status"] for _ in range(2)] == ["running", "failed"]


def test_an_export_job_ends_with_a_file(raw: Raw) -> None:
    body = {"sourceType": "OPERATIONAL", "operationalDataTypes": ["ACCOUNTS"]}
    job = raw.do("POST", "/dataexports/adhoc", body)["jobId"]
    seen = [raw.do("GET", f"/dataexports/jobs/{job}")["status"] for _ in range(3)]
    assert seen[-1] == "SUCCEEDED"
    url = raw.do("GET", f"/dataexports/jobs/{job}/getdownloadurl")["url"]
    assert len(fetch(url).splitlines()) == len(raw.all("/accounts"))
    raw.refused(404, "POST", "/dataexports/adhoc", {**body, "destinationIds": ["nobody"]})
    assert "sourceType" in raw.refused(400, "POST", "/dataexports/adhoc", {**body, "sourceType": "OTHER"})


def test_an_export_is_refused_before_it_has_succeeded(raw: Raw) -> None:
    body = {"sourceType": "OPERATIONAL", "operationalDataTypes": ["BILLS"]}
    job = raw.do("POST", "/dataexports/adhoc", body)["jobId"]
    assert "PENDING" in raw.refused(400, "GET", f"/dataexports/jobs/{job}/getdownloadurl")
    assert [raw.do("GET", f"/dataexports/jobs/{job}")["status"] for _ in range(2)] == ["RUNNING", "SUCCEEDED"]


@pytest.fixture
def revision(raw: Raw) -> str:
    """The path of a revision of a lookup table of the test's own."""
    table = raw.do("POST", "/lookuptables", {"name": "Rates", "code": "rates"})["id"]
    fields = [{"name": "region", "type": "STRING"}, {"name": "rate", "type": "NUMBER"}]
    body = {"name": "First", "fields": fields, "keys": ["region"]}
    made = raw.do("POST", f"/lookuptables/{table}/revisions", body)
    return f"/lookuptables/{table}/revisions/{made['id']}"


def test_lookup_data_is_kept_by_key_and_version(raw: Raw, revision: str) -> None:
    data = revision + "/data"
    assert raw.do("GET", data) == {"items": [], "version": 0}
    items = [{"region": "eu", "rate": 1}, {"region": "us", "rate": 2}]
    assert raw.do("PUT", data, {"items": items})["version"] == 1
    assert raw.do("GET", data, limit=1)["items"] == items[:1]
    assert raw.do("GET", data + "/us")["items"] == items[1:]
    changed = raw.do("PUT", data + "/us", {"item": {"region": "us", "rate": 3}, "version": 1})
    assert changed["items"] == [{"region": "us", "rate": 3}]
    assert "version" in raw.refused(409, "PUT", data, {"items": items, "version": 1})
    assert "version" in raw.refused(400, "PUT", data, {"items": items})
    assert "version" in raw.refused(400, "PUT", data + "/us", {"item": {"region": "us", "rate": 3}})
    assert "lookupKey" in raw.refused(400, "PUT", data + "/eu", {"item": {"region": "us", "rate": 3}, "version": 2})
    assert "items[0].region" in raw.refused(400, "PUT", data, {"items": [{"rate": 3}], "version": 2})
    assert raw.do("DELETE", data + "/eu", {"version": 2})["items"] == items[:1]
    raw.refused(404, "GET", data + "/eu")
    assert raw.do("GET", revision)["itemCount"] == 1
    raw.do("DELETE", data)
    assert raw.do("GET", data)["items"] == []


def test_a_published_revision_is_the_active_one(raw: Raw, revision: str) -> None:
    table = revision.partition("/revisions")[0]
    assert raw.do("GET", table)["activeRevision"] is None
    version = raw.do("GET", revision)["version"]
    assert "version" in raw.refused(400, "PUT", revision + "/status", {"status": "PUBLISHED"})
    assert "version" in raw.refused(409, "PUT", revision + "/status", {"status": "PUBLISHED", "version": version + 1})
    raw.do("PUT", revision + "/status", {"status": "PUBLISHED", "version": version})
    assert raw.do("GET", table)["activeRevision"]["id"] == revision.rpartition("/")[2]
    raw.do("PUT", revision + "/status", {"status": "ARCHIVED", "version": version + 1})
    assert "status" in raw.refused(400, "PUT", revision + "/data", {"items": [{"region": "eu"}]})


@pytest.mark.parametrize("form", ["text/csv", "application/jsonl"])
def test_lookup_data_moves_as_files_and_copies(raw: Raw, revision: str, form: str) -> None:
    data = revision + "/data"
    content = b"region,rate\neu,1\n" if form == "text/csv" else b'{"region":"eu","rate":"1"}\n'
    ask = {"fileName": "rates", "contentType": form, "contentLength": len(content)}
    made = raw.do("POST", data + "/generateuploadurl", ask)
    assert raw.do("GET", f"{data}/jobs/{made['jobId']}")["status"] == "PENDING"
    assert upload(made["url"], made["headers"], content) == 200
    assert raw.do("GET", f"{data}/jobs/{made['jobId']}")["status"] == "SUCCEEDED"
    assert raw.do("GET", data)["items"] == [{"region": "eu", "rate": "1"}]
    job = raw.do("POST", data + "/jobs/download", {"contentType": form})["jobId"]
    assert b"eu" in fetch(raw.do("GET", f"{data}/jobs/{job}")["downloadUrl"])
    assert b"eu" in fetch(raw.do("POST", data + "/archived", {"contentType": form})["url"])
    copied = raw.do("POST", data + "/copy", {})
    assert raw.do("GET", f"{data}/jobs/{copied['jobId']}")["status"] == "SUCCEEDED"
    other = revision.rpartition("/")[0] + "/" + copied["revisionId"]
    assert raw.do("GET", other + "/data")["items"] == [{"region": "eu", "rate": "1"}]
    assert {row["type"] for row in raw.all(data + "/jobs")} == {"UPLOAD", "DOWNLOAD", "COPY"}


def test_policies_are_given_and_taken(raw: Raw) -> None:
    user, policy = raw.all("/users")[1]["id"], raw.all("/permissionpolicies")[2]["id"]
    path = f"/permissionpolicies/{policy}"
    given = raw.do("POST", path + "/addtouser", {"principalId": user})
    assert (given["principalType"], given["principalId"]) == ("USER", user)
    assert raw.do("POST", path + "/addtouser", {"principalId": user}) == given
    assert raw.do("GET", f"/users/{user}/permissions")["id"] == policy
    assert raw.do("POST", path + "/removefromuser", {"principalId": user}) == given
    assert "principalId" in raw.refused(404, "POST", path + "/removefromuser", {"principalId": user})
    assert raw.do("POST", path + "/addtosupportusers", {})["principalType"] == "SUPPORTUSERS"


def test_resource_groups_hold_what_was_added(raw: Raw) -> None:
    group = raw.do("POST", "/resourcegroups/products", {"name": "All"})["id"]
    path = f"/resourcegroups/products/{group}"
    items = [{"targetId": f"p{number}", "targetType": "ITEM"} for number in range(3)]
    for item in items:
        assert raw.do("POST", path + "/addresource", item)["id"] == group
    page = raw.do("POST", path + "/contents", pageSize=2, nextToken="")
    while not page["data"]:
        page = raw.do("POST", path + "/contents", pageSize=2, nextToken=page["nextToken"])
    assert [row["targetId"] for row in page["data"]] == ["p2", "p1"]
    raw.do("POST", path + "/removeresource", items[1])
    assert "targetId" in raw.refused(404, "POST", path + "/removeresource", items[1])


def test_a_replaced_account_plan_ends_where_the_new_one_starts(raw: Raw) -> None:
    account, plan = raw.all("/accounts")[0]["id"], raw.all("/plans")[0]["id"]
    body = {"accountId": account, "planId": plan, "startDate": "2025-01-01T00:00:00Z"}
    made = raw.do("POST", "/accountplans", body)
    replace = f"/accountplans/{made['id']}/replace"
    assert "version" in raw.refused(409, "POST", replace, {**body, "version": 2})
    answer = raw.do("POST", replace, {**body, "startDate": "2025-07-01T00:00:00Z"})
    assert answer["originalAccountPlan"]["id"] == made["id"]
    assert answer["originalAccountPlan"]["endDate"] == answer["newAccountPlan"]["startDate"] == "2025-07-01T00:00:00Z"
    found = raw.all("/accountplans", account=account, date="2025-07-02")
    assert answer["newAccountPlan"]["id"] in [row["id"] for row in found]
    assert made["id"] not in [row["id"] for row in found]


def test_billing_entities_of_an_account_end_together(raw: Raw) -> None:
    account, plan = raw.all("/accounts")[0]["id"], raw.all("/plans")[0]["id"]
    body = {"accountId": account, "planId": plan, "startDate": "2025-01-01T00:00:00Z"}
    made = raw.do("POST", "/accountplans", body)
    end = {"endDate": "2025-06-01T00:00:00Z", "billingEntities": ["ACCOUNTPLAN"]}
    answer = raw.do("PUT", f"/accounts/{account}/enddatebillingentities", end)
    assert answer["updatedEntities"] == {"ACCOUNTPLAN": {"empty": False}}
    assert raw.do("GET", f"/accountplans/{made['id']}")["endDate"] == end["endDate"]


def test_singletons_are_replaced_by_version(raw: Raw) -> None:
    before = raw.do("GET", "/customfields")
    changed = raw.do("PUT", "/customfields", {"version": 1, "account": {"tier": "gold"}})
    assert (changed["version"], changed["account"]) == (2, {"tier": "gold"})
    assert "product" not in changed
    assert changed["id"] == before["id"]
    assert "version" in raw.refused(409, "PUT", "/customfields", {"version": 1})
    assert raw.do("GET", "/customfields") == changed


def test_single_fields_are_set_by_actions(raw: Raw) -> None:
    config = raw.all("/integrationconfigs")[0]["id"]
    assert raw.do("POST", f"/integrationconfigs/{config}/enable")["enabled"] is True
    hook = raw.all("/integrationdestinations/webhooks")[0]["id"]
    for active in (False, True):
        path = f"/integrationdestinations/webhooks/{hook}"
        assert raw.do("PUT", path + "/active", active=str(active).lower())["active"] is active
        assert raw.do("GET", path)["active"] is active


def test_a_webhook_keeps_its_secret(raw: Raw) -> None:
    credentials = {"type": "M3TER_SIGNED_REQUEST", "apiKey": "key", "secret": "hush"}
    body = {"name": "Hook", "description": "d", "url": "https://example.com", "credentials": credentials}
    answer = raw.ask("POST", "/integrationdestinations/webhooks", body)
    assert answer.status_code == 200
    assert "hush" not in answer.text


def test_the_password_of_a_user_is_sent_again_with_an_empty_answer(raw: Raw) -> None:
    answer = raw.ask("PUT", f"/users/{raw.all('/users')[0]['id']}/password/resend")
    assert (answer.status_code, answer.content) == (200, b"")
    raw.refused(404, "PUT", "/users/nobody/password/resend")


def test_a_sandbox_starts_at_once() -> None:
    taken: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        with Sandbox(bills=2000):
            taken.append(time.perf_counter() - began)
    assert min(taken) < 0.1
