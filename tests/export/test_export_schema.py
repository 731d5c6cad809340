"""``schema.json`` beside a finished export names the columns of its tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from m3ter_async import __version__
from m3ter_async.export import export
from tests.fakes import FakeTransport, answer, client

pytestmark = pytest.mark.anyio

BILL = {"id": "b1", "lineItems": [{"id": "l1", "subtotal": 1}], "billTotal": 1}


async def exported(out: Path, format: str) -> Path:
    m3ter = client(FakeTransport(lambda _: answer({"data": [BILL]})))
    await export(m3ter, ["bills"], out, format=format, overwrite=True)  # type: ignore[arg-type]
    return out / "schema.json"


async def test_the_columns_of_each_table_are_named_in_their_order(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    content = json.loads((await exported(tmp_path, "parquet")).read_text())
    assert content["m3ter-async"] == __version__
    tables = content["resources"]["bills"]
    assert list(tables) == ["bills", "line_items", "pricing_bands"]
    (file,) = (tmp_path / "bills" / "line_items").glob("*.parquet")
    assert tables["line_items"] == {each.name: str(each.type) for each in pq.read_schema(str(file))}
    assert list(tables["line_items"]) == pq.read_schema(str(file)).names


async def test_csv_has_one_and_what_has_no_columns_has_none(tmp_path: Path) -> None:
    content = json.loads((await exported(tmp_path, "csv")).read_text())
    assert content["resources"]["bills"]["line_items"]["subtotal"] == "number"
    assert not (await exported(tmp_path, "ndjson")).exists()  # nor is one of an earlier export left
