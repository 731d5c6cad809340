"""A child's row names its parent, always and once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from m3ter_async.export import export

from .support import Form, Shelf, bill, exact, lines, noted, rows_of

PARENTS = [
    (b'{"id":"t"}', 0),
    (b'{"balanceId":"b","id":"t"}', 0),
    (b'{"id":"t","balanceId":"b"}', 0),
    (b'{"id":"t", "balanceId" : "b"}', 0),
    (b'{"id":"t","balanceId":null}', 0),
    (b'{"balanceId":"other","id":"t"}', 1),
    (b'{"BALANCEID":"b","id":"t"}', 0),
    (b'{"balanceID":"other","id":"t","BalanceId":"b"}', 1),
    (b'{"\\u0062alanceId":"other","id":"t"}', 1),
    (b'{"balanceId":"b","balanceId":"other","id":"t"}', 1),
    (b'{"id":"t","customFields":{"balanceId":"other"}}', 0),
    (b'{"id":"t","balanceId":7}', 1),
    (b"{ }", 0),
]


@pytest.mark.parametrize(("record", "others"), PARENTS)
async def test_a_childs_row_names_its_parent_once_whatever_it_says_itself(
    out: Path, form: Form, record: bytes, others: int
) -> None:
    lists: dict[str, Any] = {"balances": [{"id": "b"}], "balances/b/transactions": [record]}
    report = await export(Shelf(lists).client(), ["balances.transactions"], out, **form.options)
    if form.format == "ndjson":
        (line,) = lines(report, "balances.transactions", "transactions")
        pairs = json.loads(line, object_pairs_hook=list)
        assert [value for name, value in pairs if name.lower() == "balanceid"] == ["b"]
        assert [name for name, _ in pairs if name.lower() == "balanceid"] == ["balanceId"]
        rest = {name: value for name, value in exact(record).items() if name.lower() != "balanceid"}
        assert {name: value for name, value in exact(line).items() if name != "balanceId"} == rest
    else:
        (row,) = rows_of(report, form, "balances.transactions", "transactions")
        assert [value for name, value in row.items() if name.replace("_", "").lower() == "balanceid"] == ["b"]
        assert row["id"] == exact(record).get("id")
    assert noted(report, "other_parent") == ({"": others} if others else {})


async def test_a_parent_that_the_models_name_is_there_even_where_the_record_lacks_it(out: Path, form: Form) -> None:
    made = [{"id": "i1"}, {"id": "i2", "billId": "bill-1"}, {"id": "i3", "billId": "another"}]
    shelf = Shelf({"bills": [bill(1)], "bills/bill-1/lineitems": made})
    report = await export(shelf.client(), ["bills.line_items"], out, **form.options)
    if form.format == "ndjson":
        assert {exact(line)["billId"] for line in lines(report, "bills.line_items", "line_items")} == {"bill-1"}
    else:
        assert {row["bill_id"] for row in rows_of(report, form, "bills.line_items", "line_items")} == {"bill-1"}
    assert noted(report, "other_parent") == {"": 1}
