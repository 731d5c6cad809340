"""Answers as tables: all digits, columns that fit, and nothing that a terminal would obey."""

from __future__ import annotations

import pytest

from m3ter_async.cli import main
from m3ter_async.cli.tables import Table, fields
from m3ter_async.sandbox import Sandbox

from ..wire import Wire, say
from .test_call import point_at
from .test_command_line import complaint

DIGITS = "12345678901234567890.12345678901234567890"


def test_a_number_stands_in_a_table_digit_for_digit_and_to_the_right() -> None:
    lines = Table(120).page([b'{"id":"a","amount":%s}' % DIGITS.encode(), b'{"id":"b","amount":1.50}']).splitlines()
    assert lines[0].split() == ["id", "amount"]
    assert lines[1] == f"a   {DIGITS}"
    assert lines[2] == f"b   {'1.50':>{len(DIGITS)}}"


def test_columns_go_by_what_fits_and_what_is_left_out_is_counted() -> None:
    record = b'{"version":3,"name":"Acme","id":"a","dtCreated":"2024-01-31T00:00:00Z","lineItems":[1,2],"note":null}'
    wide, narrow = Table(200), Table(24)
    assert wide.page([record]).splitlines()[0].split() == ["id", "name", "lineItems", "version", "dtCreated"]
    assert "[2 items]" in wide.page([record])
    assert wide.left_out == 0
    assert narrow.page([record]).splitlines()[0].split() == ["id", "name", "lineItems"]
    assert narrow.left_out == 2


def test_later_pages_keep_the_columns_and_lose_no_character_of_a_number() -> None:
    table = Table(40)
    table.page([b'{"id":"a","amount":1}'])
    assert table.page([b'{"id":"b","amount":%s,"more":1}' % DIGITS.encode()]) == f"b   {DIGITS}"


def test_texts_of_the_service_cannot_command_the_terminal_and_wide_ones_keep_the_columns() -> None:
    page = Table(80).page([rb'{"id":"\u001b[31mred\n","name":"\u65e5\u672c","n":1}', b'{"id":"a","name":"b","n":2}'])
    assert "\x1b" not in page
    assert len(page.splitlines()) == 3
    _, first, second = page.splitlines()
    assert first.index("1", first.index("日")) + 2 == second.rindex("2")  # two characters of two columns each


def test_one_answer_is_a_line_for_each_field_with_a_value() -> None:
    assert fields(b'{"id":"a","total":1.10,"none":null,"items":[],"account":{"id":1}}') == (
        "id       a\ntotal    1.10\naccount  {1 field}"
    )
    assert fields(b"[1]") is None


def test_the_format_is_json_where_nobody_looks_and_what_is_asked_for_else(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["call", "bills.list", "--limit", "2"]) == 0
    assert capfd.readouterr().out.startswith('{"id"')
    assert main(["call", "bills.list", "--limit", "2", "--output", "table"]) == 0
    out, err = capfd.readouterr()
    assert len(out.splitlines()) == 3
    assert out.split()[0] == "id"
    assert max(map(len, out.splitlines())) <= 100
    assert "more fields did not fit: --output json has them all" in err
    bill = out.splitlines()[1].split()[0]
    assert main(["call", "bills.retrieve", bill, "--output=table"]) == 0
    assert capfd.readouterr().out.split()[:2] == ["id", bill]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "yaml"], "--output must be table or json"),
        (["--output", "table", "--raw"], "--raw writes bytes, which --output table cannot show"),
    ],
)
@pytest.mark.usefixtures("credentials")
def test_an_output_that_cannot_be_is_refused(
    arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert complaint(capfd, "call", "bills.list", *arguments) == f"m3ter-async: {said}\n"


def test_an_answer_that_is_no_object_is_shown_as_json(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with Wire([say(b'{"data":[{"id":"a"}]}')]) as wire:
        point_at(monkeypatch, wire)
        assert main(["call", "bills.list", "--output", "table", "--limit", "1"]) == 0
    assert capfd.readouterr().out == "id\na\n"
