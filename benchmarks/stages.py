"""What the stages of a work take, as measured in the same run: it explains the figures."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from string import Formatter

from .contenders import Contender
from .contest import worker

_MICRO = 1e6
_COUNTED = ("_bytes", "_amounts")  # at the end of the names of those that are no seconds
GETS = 2_000  # of each stage of a small GET, or so many for a quick look:
QUICK_GETS = 100

Lines = tuple[tuple[str, str], ...]

# a part's title; the stage that is the whole of it; and its stages, those that are a part of another one behind dots
_PARTS: tuple[tuple[str, str, Lines], ...] = (
    (
        "One bill of {bill_bytes:,.0f} bytes with {bill_amounts:,.0f} amounts",
        "bill_whole",
        (
            ("bill_reading", "reading it, by the transport"),
            ("bill_splitting", "splitting its page into records"),
            ("bill_decoding", "decoding it, by plain msgspec"),
            ("bill_decimals", "… of which making the `Decimal`s takes about"),
            ("bill_exactness", "looking whether every number and moment is exact"),
            ("bill_exact", "… both of these"),
            ("bill_rest", "all else: handing it out, turns for other tasks"),
            ("bill_whole", "as a whole"),
            ("bill_isal", "besides, where it is compressed: inflating it by isal"),
            ("bill_zlib", "… or by zlib"),
            ("bill_arrow", "besides: making Arrow tables of it, splitting included"),
            ("bill_parquet", "… and writing them as Parquet with zstd"),
        ),
    ),
    (
        "One page of 200 transactions, {page_bytes:,.0f} bytes with {page_amounts:,.0f} amounts",
        "page_whole",
        (
            ("page_reading", "reading it, by the transport"),
            ("page_decoding", "decoding it, by plain msgspec"),
            ("page_decimals", "… of which making the `Decimal`s takes about"),
            ("page_exactness", "looking whether every number and moment is exact"),
            ("page_rest", "all else: handing out 200 records, asking for the next page"),
            ("page_whole", "as a whole"),
        ),
    ),
    (
        "One small GET, 100 in flight",
        "get_whole",
        (
            ("get_transport", "sending and reading, by the transport"),
            ("get_core", "the core: arguments, limits, retries, journal"),
            ("get_decoding", "decoding the answer, by plain msgspec"),
            ("get_rest", "all else: more tasks and timers in one loop"),
            ("get_whole", "as a whole"),
            ("get_bare", "besides: what aiohttp's own session takes to send and read"),
            ("httpx_many", "besides: what httpx takes by itself"),
            ("httpx_few", "… and with one in flight, where its pool has one connection to look through"),
        ),
    ),
)
NAMES = frozenset(name for _, _, lines in _PARTS for name, _ in lines)


class StagesFailedError(Exception):
    """The process that times the stages ended badly."""


@dataclass(frozen=True)
class Stages:
    """The CPU time of each stage, in seconds, by name; empty where they were not timed."""

    values: dict[str, float] = field(default_factory=dict)

    def parts(self) -> Iterator[tuple[str, tuple[list[str], list[list[str]]]]]:
        """The title of each part, and its table."""
        for title, whole, lines in _PARTS:
            if whole in self.values:
                rows = [
                    [text, f"{self.values[name] * _MICRO:.1f} µs", f"{self.values[name] / self.values[whole]:.0%}"]
                    for name, text in lines
                    if name in self.values
                ]
                yield title.format_map(self.values), (["stage", "CPU", "of the whole"], rows)

    def told(self, text: str) -> str:
        """`text` with the stages that it names in braces; without those, up to the colon, where one was not timed."""
        names = {name for _, name, _, _ in Formatter().parse(text) if name}
        if not names <= self.values.keys():
            return text.partition(":")[0]
        return text.format_map({name: self._shown(name) for name in names})

    def _shown(self, name: str) -> str:
        value = self.values[name]
        return f"{value:,.0f}" if name.endswith(_COUNTED) else f"{value * _MICRO:.0f} µs"


def measure(port: int, *, quick: bool) -> Stages:
    """Time them, in a process of its own.

    Raises:
        StagesFailedError: It ended badly.
    """
    try:
        task = "quick" if quick else "whole"
        result = worker(Contender("stages", "stages", "aiohttp", task), port, QUICK_GETS if quick else GETS)
    except subprocess.SubprocessError as error:
        raise StagesFailedError(getattr(error, "stderr", None) or str(error)) from error
    return Stages(result["values"])
