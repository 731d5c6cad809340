"""The demo does the main job, and would say so if a digit were missing."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from decimal import Decimal, localcontext

import pytest

pytest.importorskip("rich")

from rich.console import Console

from m3ter_async.demo import _EXACT, _report, _Seen
from m3ter_async.sandbox import Sandbox, Truth


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "m3ter_async.demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Sandbox(seed=7, bills=60).truth()


@pytest.mark.parametrize("transport", ["aiohttp", "httpx"])
def test_it_streams_everything_and_prints_the_exact_totals(truth: Truth, transport: str) -> None:
    result = run("--bills", "60", "--transport", transport)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "Every row and every digit is there." in result.stdout
    cells = [re.split(r"\s*[│┃|]\s*", line.strip("│┃| ")) for line in result.stdout.splitlines()]
    assert truth.line_item_subtotals
    assert truth.transaction_amounts
    for totals in (truth.line_item_subtotals, truth.transaction_amounts):
        for currency, amount in totals.items():
            assert [currency, f"{amount:f}", f"{amount:f}", "equal"] in cells
    for name in ("bills", "line_items", "pricing_bands", "balances", "transactions"):
        count = f"{getattr(truth, name):,}"
        row = next(row for row in cells if row[0] == name.replace("_", " "))
        assert row[1:3] == [count, count]
    assert "DIFFERENT" not in result.stdout


def test_an_empty_organization_is_no_error() -> None:
    result = run("--bills", "0")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--bills", "-1"], ["--bills", "x"], ["--bills", "1.5"], ["--seed", "x"], ["--transport", "curl"], ["--nonsense"]],
)
def test_bad_arguments_are_explained_and_exit_with_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert arguments[0] in result.stderr
    assert "Traceback" not in result.stderr


def streamed(truth: Truth) -> _Seen:
    """What a faultless run would have seen."""
    seen = _Seen()
    for name in ("bills", "line_items", "pricing_bands", "balances", "transactions"):
        seen.rows[name.replace("_", " ")] = getattr(truth, name)
    seen.subtotals.update(truth.line_item_subtotals)
    seen.transactions.update(truth.transaction_amounts)
    return seen


def told(seen: _Seen, truth: Truth) -> tuple[bool, str]:
    console = Console(file=io.StringIO(), width=120)
    with localcontext(_EXACT):
        good = _report(seen, truth, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return good, text


def test_a_faultless_run_is_reported_as_one(truth: Truth) -> None:
    good, text = told(streamed(truth), truth)
    assert good
    assert "DIFFERENT" not in text


@pytest.mark.parametrize("row", ["bills", "line items", "pricing bands", "balances", "transactions"])
@pytest.mark.parametrize("off", [-1, 1])
def test_a_row_too_few_or_too_many_is_a_difference(truth: Truth, row: str, off: int) -> None:
    seen = streamed(truth)
    seen.rows[row] += off
    good, text = told(seen, truth)
    assert not good
    assert text.count("DIFFERENT") == 1
    assert "Every row" not in text


@pytest.mark.parametrize("which", ["subtotals", "transactions"])
def test_the_last_digit_of_a_total_is_a_difference(truth: Truth, which: str) -> None:
    for doctored in ("a digit", "a currency less", "a currency more"):
        seen = streamed(truth)
        totals = getattr(seen, which)
        currency = next(currency for currency, amount in totals.items() if amount)
        with localcontext(_EXACT):
            if doctored == "a digit":
                totals[currency] += Decimal("1E-40")
            elif doctored == "a currency less":
                del totals[currency]
            else:
                totals["XXX"] = Decimal("0.01")
        good, text = told(seen, truth)
        assert not good, doctored
        assert text.count("DIFFERENT") == 1


def test_a_difference_exits_with_1() -> None:
    """The only patch: a sandbox whose books say something else than what it serves."""
    script = """
import sys
from decimal import Decimal
from m3ter_async import demo
class Doctored(demo.Sandbox):
    def truth(self):
        truth = super().truth()
        return truth._replace(line_item_subtotals={**truth.line_item_subtotals, "USD": Decimal("1")})
demo.Sandbox = Doctored
sys.argv = ["demo", "--bills", "20"]
sys.exit(demo.main())
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1, result.stderr
    assert "DIFFERENCE" in result.stdout
