"""``m3ter-async call``: any operation, exact numbers, one line for what is wrong, and no value ever shown."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from subprocess import PIPE
from typing import Any

import pytest

from m3ter_async.cli import main
from m3ter_async.cli.methods import every, find
from m3ter_async.cli.patience import Patience
from m3ter_async.events import CallInfo, Event, RequestSent, ResponseReceived, RetryScheduled
from m3ter_async.sandbox import Sandbox

from ..fakes import KEY, ORG, SECRET
from ..processes import running
from ..wire import Move, Wire, listing, pages, say
from .conftest import variables
from .test_command_line import COMMAND, Captured, complaint


def called(capfdbinary: pytest.CaptureFixture[bytes], *arguments: str) -> list[bytes]:
    """The lines that a call answers."""
    status = main(["call", *arguments])
    out, err = capfdbinary.readouterr()
    assert err == b""
    assert status == 0
    return out.splitlines()


def exact(line: bytes) -> Any:
    return json.loads(line, parse_float=Decimal)


Capture = pytest.CaptureFixture[bytes]


def test_a_listing_is_the_bytes_of_its_records_a_line_each(sandbox: Sandbox, capfdbinary: Capture) -> None:
    lines = called(capfdbinary, "bills.list")
    assert len(lines) == 230
    bills = [exact(line) for line in lines]
    assert len({bill["id"] for bill in bills}) == 230
    subtotals: dict[str, Decimal] = {}
    for bill in bills:
        for item in bill.get("lineItems") or ():
            subtotals[bill["currency"]] = subtotals.get(bill["currency"], Decimal()) + Decimal(item["subtotal"])
    assert subtotals == sandbox.truth().line_item_subtotals


def test_filters_are_options_and_limit_bounds_what_is_asked_for(sandbox: Sandbox, capfdbinary: Capture) -> None:
    all_of_them = [exact(line) for line in called(capfdbinary, "bills.list", "--exclude-line-items", "true")]
    assert not any(bill.get("lineItems") for bill in all_of_them)
    pending = [bill["id"] for bill in all_of_them if bill["status"] == "PENDING"]
    assert len(pending) > 3
    lines = called(capfdbinary, "bills.list", "--status", "PENDING", "--limit", "3")
    assert [exact(line)["id"] for line in lines] == pending[:3]
    day = all_of_them[7]["billDate"]
    lines = called(capfdbinary, "bills.list", f"--bill-date={day}")
    assert {exact(line)["billDate"] for line in lines} == {day}


def test_a_limit_reaches_the_service_as_the_size_of_the_page(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    with Wire(listing(pages(3, 3, 3))) as wire:
        point_at(monkeypatch, wire)
        assert len(called(capfdbinary, "bills.list", "--limit", "5")) == 5
    assert ["pageSize=5" in each.query for each in wire.requests] == [True, True]


def of(wire: Wire) -> dict[str, str]:
    """What a shell would have set to call a scripted server."""
    return {"M3TER_BASE_URL": wire.url, "M3TER_API_KEY": KEY, "M3TER_API_SECRET": SECRET, "M3TER_ORG_ID": ORG}


def point_at(monkeypatch: pytest.MonkeyPatch, wire: Wire) -> None:
    for name, value in of(wire).items():
        monkeypatch.setenv(name, value)


def stalls() -> Move:
    return Move("stalls", lambda peer: peer.stall())


def wait_for(met: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + 20
    while not met():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_record_of_many_lines_is_made_one_and_its_digits_stay(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    record = b'{\n "id": "a\\nb",\n "billTotal": 1.10000000000000000000000000000000001\n}'
    with Wire([say(b'{"data": [' + record + b"]}")]) as wire:
        point_at(monkeypatch, wire)
        assert called(capfdbinary, "bills.list") == [
            b'{"id":"a\\nb","billTotal":1.10000000000000000000000000000000001}'
        ]
        assert called(capfdbinary, "bills.list", "--raw") == record.splitlines()


def test_one_answer_is_one_line_by_its_names_on_the_wire(sandbox: Sandbox, capfdbinary: Capture) -> None:
    (listed,) = called(capfdbinary, "balances.list", "--limit", "1")
    (balance,) = called(capfdbinary, "balances.retrieve", exact(listed)["id"])
    assert called(capfdbinary, "balances.retrieve", "--id", exact(listed)["id"]) == [balance]
    assert exact(balance) == {name: value for name, value in exact(listed).items() if value is not None}


def test_raw_shows_what_no_model_knows_and_the_digits_as_they_came(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    body = b'{"id": "b", "billTotal": 1.50, "newOfToday": [1.0]}'
    with Wire([say(body)]) as wire:
        point_at(monkeypatch, wire)
        assert called(capfdbinary, "bills.retrieve", "b") == [b'{"id":"b","billTotal":1.50}']
        assert called(capfdbinary, "bills.retrieve", "b", "--raw") == [body]


def test_what_is_written_arrives_digit_for_digit_and_typed(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    with Wire([say({"id": "t"})]) as wire:
        point_at(monkeypatch, wire)
        monkeypatch.setattr(sys, "stdin", io.StringIO('{"note": "x", "rate": 0.10000000000000000000000000001}'))
        amount = "-12345678901234567890.123456789012345678901"
        called(capfdbinary, "balances.transactions.create", "b/1", f"--amount={amount}", "--transaction-type-id", "t")
        called(
            capfdbinary,
            "accounts.update",
            "a",
            *("--name", "null", "--code", "c", "--email-address", "e@x", "--version", "3"),
            *("--credit-application-order", "PREPAYMENT,BALANCE", "--purchase-order-number", "null"),
            *("--bill-epoch", "2024-02-29", "--custom-fields", "-"),
        )
    create, update = wire.applied
    assert create.path.endswith("/balances/b%2F1/transactions")
    assert create.body == b'{"amount":%b,"transactionTypeId":"t"}' % amount.encode()
    assert json.loads(update.body, parse_float=Decimal) == {
        "name": "null",  # which takes a text and nothing else
        "code": "c",
        "emailAddress": "e@x",
        "version": 3,
        "creditApplicationOrder": ["PREPAYMENT", "BALANCE"],
        "purchaseOrderNumber": None,
        "billEpoch": "2024-02-29",
        "customFields": {"note": "x", "rate": Decimal("0.10000000000000000000000000001")},
    }


def test_dates_stand_for_their_first_moment_where_a_moment_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    with Wire([say({})]) as wire:
        point_at(monkeypatch, wire)
        times = ("--start-date", "2024-01-31", "--end-date", "2024-02-01T01:00:00+01:00")
        called(capfdbinary, "usage.query", *times, "--limit", "7")
    assert wire.requests[0].json() == {
        "startDate": "2024-01-31T00:00:00Z",
        "endDate": "2024-02-01T00:00:00Z",
        "limit": 7,
    }


def test_edit_changes_the_fields_that_are_given_and_no_other(sandbox: Sandbox, capfdbinary: Capture) -> None:
    (before,) = called(capfdbinary, "accounts.list", "--limit", "1")
    called(capfdbinary, "accounts.edit", exact(before)["id"], "--name", "Anew", "--days-before-bill-due", "9")
    (after,) = called(capfdbinary, "accounts.list", "--limit", "1")
    changed = {name for name, value in exact(after).items() if exact(before).get(name) != value}
    assert changed == {"name", "daysBeforeBillDue", "version", "dtLastModified", "lastModifiedBy"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bill.list"], "no operation 'bill.list'; did you mean bills.list"),
        (["bills.lst"], "did you mean bills.list"),
        (["bills"], "bills is a resource, with the operations approve, "),
        (["bills.list.more"], "no operation"),
        (["request"], "no operation"),
        (["bills._call"], "no operation"),
        (["with_options"], "no operation"),
        ([], "call needs an operation"),
        (["bills.list", "--stauts", "hush"], "takes no --stauts; did you mean --status?"),
        (["bills.list", "--stauts=hush"], "takes no --stauts; did you mean --status?"),
        (["bills.list", "hush"], "got 1 arguments without a name, and takes none"),
        (["bills.retrieve"], "bills.retrieve needs id"),
        (["bills.approve_by_billing_period"], "needs billing_frequency and --last-date-in-billing-period"),
        (["bills.retrieve", "x", "--id", "hush"], "--id is given twice"),
        (["bills.list", "--locked"], "--locked needs a value"),
        (["bills.list", "--locked", "--status", "hush"], "--locked needs a value"),
        (["bills.list", "--status", "hush", "--status", "hush"], "--status is given twice"),
        (["bills.list", "--locked", "hush"], "--locked must be true or false"),
        (["bills.list", "--bill-date", "hush"], "--bill-date must be a date"),
        (["bills.list", "--page-size", "1e2"], "--page-size must be a whole number"),
        (["bills.list", "--ids", ""], "--ids must be a list"),
        (["bills.list", "--ids", "a,,b"], "--ids must be a list"),
        (["bills.list", "--ids", '["hush"'], "--ids must be a list"),
        (["bills.list", "--account-id", ""], "--account-id must be a text, not empty"),
        (["bills.list", "--limit", "0"], "--limit must be a whole number from 1"),
        (["bills.retrieve", "x", "--limit", "1"], "--limit is for listings"),
        (["balances.transactions.create", "b", "--amount", "NaN", "--transaction-type-id", "t"], "--amount must be a"),
        (["balances.transactions.create", "b", "--amount", "1,5", "--transaction-type-id", "t"], "--amount must be a"),
        (["usage.query", "--start-date", "2024-01-01T00:00:00"], "date-time with its zone"),
        (["accounts.create", "--name", "n", "--code", "c", "--email-address", "e", "--address", "hush"], "JSON object"),
        (["usage.submit", "--measurements", '{"hush": 1}'], "a JSON list of objects"),
        (["bills.retrieve", ".."], "path argument 'id' must name something"),
        (["bills.list", "--page-size", "101"], "--page-size: 101 is too large: it may be 100 at the most"),
        (["bills.preview", "--currency-conversions", '[{"to": ""}]'], "--currency-conversions[0].to: 0 characters"),
        (["bills.search", "--from-document", "-1"], "from_document must be a whole number"),
    ],
)
@pytest.mark.usefixtures("credentials")
def test_what_cannot_be_called_is_one_line_that_shows_no_value(
    capsys: Captured, arguments: list[str], told: str
) -> None:
    text = complaint(capsys, "call", *arguments)
    assert told in text
    assert "hush" not in text


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("M3TER_API_KEY", "no API key: set the environment variable M3TER_API_KEY\n"),
        ("M3TER_API_SECRET", "no API secret: set the environment variable M3TER_API_SECRET\n"),
        ("M3TER_ORG_ID", "no organization: pass --org-id or set the environment variable M3TER_ORG_ID\n"),
    ],
)
@pytest.mark.usefixtures("credentials")
def test_missing_credentials_are_named(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, missing: str, told: str
) -> None:
    monkeypatch.delenv(missing)
    assert complaint(capsys, "call", "bills.list").endswith(told)


@pytest.mark.usefixtures("credentials")
def test_a_base_url_that_would_send_the_secret_in_the_clear_is_refused(capsys: Captured) -> None:
    text = complaint(capsys, "call", "bills.list", "--base-url", "http://example.com")
    assert text.endswith(
        "--base-url 'http://example.com' would send key and secret in the clear: use https, or pass "
        "--allow-insecure-http\n"
    )


def test_what_is_wrong_in_the_environment_is_named_by_its_variable(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, credentials: None
) -> None:
    monkeypatch.setenv("M3TER_BASE_URL", "http://example.com")
    told = "m3ter-async: M3TER_BASE_URL='http://example.com' would send key and secret in the clear: use https, or pass"
    assert complaint(capsys, "call", "bills.list") == f"{told} --allow-insecure-http\n"
    monkeypatch.setenv("M3TER_API_SECRET", '"hush"')
    told = "m3ter-async: M3TER_API_SECRET stands in quotation marks: set it without them\n"
    assert complaint(capsys, "call", "bills.list") == told
    monkeypatch.delenv("M3TER_API_SECRET")
    monkeypatch.setenv("M3TER_ORG_ID", "\n")
    told = "m3ter-async: no API secret and no organization: set the environment variables M3TER_API_SECRET and "
    assert complaint(capsys, "call", "bills.list") == f"{told}M3TER_ORG_ID\n"
    monkeypatch.setenv("M3TER_API_SECRET", "hush")
    assert "no organization: pass --org-id or set the" in complaint(capsys, "call", "bills.list")
    assert "--org-id is an empty text" in complaint(capsys, "call", "bills.list", "--org-id", "")
    assert "--org-id is no id of an organization" in complaint(capsys, "call", "bills.list", "--org-id", "a/b")


def test_a_refusal_is_one_line_with_the_request_id(sandbox: Sandbox, capsys: Captured) -> None:
    assert main(["call", "bills.retrieve", "nope"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "404" in err
    assert "[request id " in err


def test_a_listing_that_breaks_off_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture) -> None:
    first = {"data": [{"id": "b0"}, {"id": "b1"}], "nextToken": "t 1"}
    with Wire([say(first), say({"message": "no\nmore"}, 400)]) as wire:
        point_at(monkeypatch, wire)
        assert main(["call", "bills.list"]) == 1
    out, err = capfdbinary.readouterr()
    assert [exact(line)["id"] for line in out.splitlines()] == ["b0", "b1"]
    assert rb"400 Bad Request: no\nmore" in err  # one line, whatever the service says
    assert err.endswith(b"; go on with --next-token 't 1'\n")


def test_a_service_that_cannot_be_reached_is_said_to_be_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    environment = {"M3TER_BASE_URL": url, "M3TER_API_TOKEN": "a-token-of-the-tests", "M3TER_ORG_ID": ORG}
    words = [*COMMAND, "call", "bills.list", "--max-retries", "50", "--max-retry-time", "3"]
    result = subprocess.run(
        words, env={**os.environ, **environment}, capture_output=True, text=True, timeout=30, check=False
    )
    first, last = result.stderr.splitlines()
    assert first.startswith("m3ter-async: trying again: no connection")
    assert last.startswith("m3ter-async: GET ")
    assert result.returncode == 1


def test_what_is_waited_for_is_told_now_and_then_and_not_what_is_under_way() -> None:
    now, told = 100.0, list[str]()
    patience = Patience(told.append, lambda: now)
    of = CallInfo(1, "ListBills", "GET", None, "/bills", "/bills")

    def after(seconds: float, *events: Event) -> list[str]:
        nonlocal now
        for each in events:
            patience.take(each)
        now += seconds
        told.clear()
        patience.look()
        return told

    assert after(60) == []  # nobody was asked anything
    assert after(0.9, RequestSent(of, 1, 0), RetryScheduled(of, 1, 0.5, "no\nconnection", None, None)) == []
    assert after(0.2) == ["trying again: no connection"]
    assert after(4.0) == []
    assert after(2.0) == ["trying again: no connection"]
    assert after(60, ResponseReceived(of, 2, 200, 0.1, 9, None, None)) == []  # whoever reads takes their time
    assert after(9.0, RequestSent(of, 1, 0)) == []
    assert after(2.0) == ["no answer yet, after 11 s"]
    assert (
        after(0.1, RetryScheduled(of, 1, 0.5, "429", 429, None), ResponseReceived(of, 2, 429, 0.1, 9, None, None)) == []
    )
    assert after(6.0, RetryScheduled(of, 1, 0.5, "429", 429, None)) == []  # the client warns of that


def test_every_operation_is_listed_and_has_help(capsys: Captured) -> None:
    assert main(["call", "--list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert len(names) == len(set(names)) > 323
    assert {"bills.list", "balances.transactions.create", "accounts.edit", "accounts.get_by_code"} <= set(names)
    methods = {each.name: each for each in every()}
    assert set(names) == set(methods)
    for name, method in methods.items():
        assert method.documentation
        assert find(name.replace("_", "-")).name == name
        assert all(each.kind.words for each in method.parameters.values())


def test_the_help_of_an_operation_is_its_docstring_and_its_parameters(capsys: Captured) -> None:
    assert main(["call", "bills.approve_by_billing_period", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: m3ter-async call bills.approve_by_billing_period BILLING_FREQUENCY ")
    assert "Approve every bill of one billing period." in text
    assert "--last-date-in-billing-period     a date (2024-01-31) (required)\n" in text


@pytest.mark.parametrize(
    ("operation", "option", "meaning"),
    [
        ("bills.list", "--status", "Only those in this state: PENDING or APPROVED."),
        ("bills.update_status", "--status", "PENDING or APPROVED."),
        ("bill_jobs.list", "--status", "PENDING, INITIALIZING, RUNNING, COMPLETE or CANCELLED."),
        ("balances.edit", "--line-item-types", "Any of STANDING_CHARGE, USAGE, "),
    ],
)
def test_the_help_says_what_a_text_may_be(capsys: Captured, operation: str, option: str, meaning: str) -> None:
    assert main(["call", operation, "--help"]) == 0
    before, _, after = capsys.readouterr().out.partition(f"\n  {option} ")
    assert "Args:" not in before
    entry = after.partition("\n  -")[0]
    assert meaning.lower() in " ".join(entry.split()).lower()


def test_what_is_a_function_is_no_option(capsys: Captured) -> None:
    assert main(["call", "bill_jobs.wait", "--help"]) == 0
    assert "--on-progress" not in capsys.readouterr().out


def test_a_reader_who_has_enough_of_a_listing_ends_it_quietly() -> None:
    with Sandbox(seed=7, bills=3000) as sandbox:
        environment = {**os.environ, **variables(sandbox)}
        read = [*COMMAND, "call", "bills.list"]
        with running(read, env=environment, stdout=PIPE, stderr=PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith('{"id":')
            process.stdout.close()
            assert process.stderr is not None
            assert process.stderr.read() == ""
        assert process.returncode == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_write_that_a_signal_ends_is_said_to_be_in_doubt(number: int, status: int) -> None:
    with Wire([stalls()]) as wire:
        write = ["call", "charges.delete", "c"]
        with running([*COMMAND, *write], env={**os.environ, **of(wire)}, stderr=PIPE) as process:
            wait_for(lambda: len(wire.requests) == 1)
            process.send_signal(number)
            _, err = process.communicate(timeout=20)
    assert err == "m3ter-async: stopped, and the write may have taken effect: look before you repeat it\n"
    assert process.returncode == status


def test_a_reading_that_a_signal_ends_says_only_that() -> None:
    with Wire([stalls()]) as wire:
        read = [*COMMAND, "call", "bills.list"]
        with running(read, env={**os.environ, **of(wire)}, stderr=PIPE) as process:
            wait_for(lambda: len(wire.requests) == 1)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
    assert err == "m3ter-async: stopped\n"
    assert process.returncode == 130


def test_the_operations_of_one_resource_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "--list", "balances.transactions"]) == 0
    names = [line.split()[0] for line in capfd.readouterr().out.splitlines()]
    assert "balances.transactions.list" in names
    assert all(name.startswith("balances.transactions.") for name in names)
    assert "there is no resource 'balancs'; did you mean balances" in complaint(capfd, "call", "--list", "balancs")


def test_verbose_tells_of_every_request_without_a_secret(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "bills.list", "--limit", "1", "--verbose"]) == 0
    err = capfd.readouterr().err
    assert "/bills" in err
    assert "200" in err
    assert sandbox.api_secret not in err
    assert main(["call", "bills.list", "--limit", "1"]) == 0
    assert capfd.readouterr().err == ""


def test_the_sandbox_command_fails_in_one_line_like_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    assert complaint(capfd, "sandbox", "--bills", "many").startswith("m3ter-async: sandbox: argument --bills: ")
