"""The script that a user of the m3ter package writes: list, flatten, pandas, Parquet."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from . import m3ter_package
from .measure import BILLS_PER_PAGE


class Contender(m3ter_package.Contender):
    """All bills in memory, then three data frames."""

    async def export(self, task: str) -> dict[str, Any]:
        """Every bill there is."""
        bills: list[dict[str, Any]] = []
        items: list[dict[str, Any]] = []
        bands: list[dict[str, Any]] = []
        async for bill in self.bills():
            row = bill.to_dict()
            for item in row.pop("lineItems"):
                for band in item.pop("usagePerPricingBand"):
                    bands.append({"billId": row["id"], "lineItemId": item["id"], **band})
                items.append({"billId": row["id"], **item})
            bills.append(row)
        with TemporaryDirectory(prefix="export-") as folder:
            for name, rows in (("bills", bills), ("line_items", items), ("pricing_bands", bands)):
                pd.DataFrame(rows).astype(_text(rows)).to_parquet(Path(folder) / f"{name}.parquet")
        return {"calls": -(-len(bills) // BILLS_PER_PAGE), "rows": len(bills), "line_items": len(items)}


def _text(rows: list[dict[str, Any]]) -> dict[str, type[str]]:
    """Columns of objects and lists, which Parquet takes as text: an empty object has no type there."""
    return {name: str for name, value in rows[0].items() if isinstance(value, (dict, list))}
