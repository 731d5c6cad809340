"""The chart in the README: horizontal bars as SVG, written by hand, legible on light and on dark pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from .columns import MB
from .contenders import BY_HAND, OURS, OURS_RAW, OURS_TYPED, PEER, PEER_AIOHTTP
from .contest import Outcome

_WIDTH = 760
_LABEL = 210  # where the bars begin
_LONGEST = 440  # a bar
_ROW = 24
_TITLE = 40
_STYLE = """
text { font: 13px -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 14px; }
.note { fill: #59636e; }
.ours { fill: #1a7f37; } .hand { fill: #8c959f; } .peer { fill: #bf5b16; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .note { fill: #9198a1; }
  .ours { fill: #3fb950; } .hand { fill: #848d97; } .peer { fill: #db8b4b; }
}
"""


@dataclass(frozen=True)
class Panel:
    """A title over bars of one unit."""

    title: str
    unit: str
    bars: tuple[tuple[str, float], ...]


def chart(outcomes: Mapping[str, Outcome]) -> str:
    """The SVG of whatever was measured."""
    y = 8.0
    body: list[str] = []
    for panel in _panels(outcomes):
        body.append(f'<text class="title" x="8" y="{y + 18:.0f}">{escape(panel.title)}</text>')
        y += _TITLE - 8
        longest = max(value for _, value in panel.bars)
        for name, value in panel.bars:
            body += _bar(y, name, value, value / longest, panel.unit)
            y += _ROW
        y += 14
    size = f'width="{_WIDTH}" height="{y:.0f}" viewBox="0 0 {_WIDTH} {y:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="m3ter-async beside other clients">'
    return "\n".join((head, f"<style>{_STYLE}</style>", *body, "</svg>")) + "\n"


def _bar(y: float, name: str, value: float, share: float, unit: str) -> list[str]:
    kind = "peer" if name in (PEER, PEER_AIOHTTP) else "hand" if name == BY_HAND else "ours"
    width = max(2.0, share * _LONGEST)
    shown = f"{value:.0f}" if value >= 20 else f"{value:.2g}" if value < 1 else f"{value:.1f}"
    return [
        f'<text x="{_LABEL - 8}" y="{y + 15:.0f}" text-anchor="end">{escape(name)}</text>',
        f'<rect class="{kind}" x="{_LABEL}" y="{y + 2:.0f}" width="{width:.1f}" height="{_ROW - 6}" rx="2"/>',
        f'<text class="note" x="{_LABEL + width + 7:.1f}" y="{y + 15:.0f}">{shown} {unit}</text>',
    ]


def _panels(outcomes: Mapping[str, Outcome]) -> list[Panel]:
    panels = []
    for key, title, unit, what, scale, names in (
        ("bills", "Stream {count:,} bills (80 KB each): time", "s", "seconds", 1.0, _STREAM),
        ("bills", "… and longest event-loop stall", "ms", "stall", 1e3, _DECODED),
        ("bills", "… and peak memory of the process", "MB", "peak_memory", 1 / MB, _DECODED),
        ("ingest", "Send {count:,} measurements: time", "s", "seconds", 1.0, _DECODED),
        ("gets", "{count:,} small GETs, 100 in flight: time", "s", "seconds", 1.0, _DECODED),
    ):
        outcome = outcomes.get(key)
        if outcome is None:
            continue
        figure = outcome.highest if what == "peak_memory" else outcome.median
        bars = [(name, figure(name, what)) for name in names]
        measured = tuple((name, value * scale) for name, value in bars if value is not None)
        if measured:
            panels.append(Panel(title.format(count=outcome.count), unit, measured))
    return panels


_DECODED = (OURS, BY_HAND, PEER_AIOHTTP, PEER)
_STREAM = (OURS_RAW, OURS_TYPED, *_DECODED)
