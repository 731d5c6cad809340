"""The figures that this client promises, each beside the limit that it runs into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import contenders as by
from .contest import Outcome
from .figure import Figure, memory, rate, speed, stall
from .file_figures import file_figures
from .growth_figures import growth_figures
from .stages import Stages

_DECIMALS = "making exact numbers: {bill_amounts} `Decimal`s a bill take {bill_decimals} of {bill_whole}"
_EXACT = "looking whether all is exact, which nobody else does: {bill_exactness} of {bill_whole} a bill"
_AIOHTTP = "sending and reading, by connections of aiohttp: {get_transport} of {get_whole} a GET"
_ABOVE = "what a call takes beside sending and reading"
_STAGES = (
    ": the core {get_core}, decoding {get_decoding} and all else {get_rest}; the transport takes {get_transport}, where"
    " aiohttp's own session takes {get_bare}"
)
_HTTPX = "httpx itself: {httpx_many} a GET with 100 in flight, {httpx_few} with one"
_PAUSES = "pauses: after a 429 all calls to the organization wait as long as the service asks, by hand this one alone"
_WAITS = "waits: lest all callers come back together, up to 0.5 s are drawn and added to what the service asks for"


def figures(outcomes: Mapping[str, Outcome], imports: Mapping[str, Mapping[str, Any]], stages: Stages) -> list[Figure]:
    """Every promise beside what was measured; what did not run has no figure."""
    made = promises(outcomes, imports)
    return [replace(each, held_by=stages.told(each.held_by)) for each in made]


def promises(outcomes: Mapping[str, Outcome], imports: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    """The same, with the names of stages where what they take is to stand."""
    return [
        *_bills(outcomes),
        *_gets(outcomes),
        *_refused(outcomes),
        *growth_figures(outcomes),
        *file_figures(outcomes),
        *_measurements(outcomes),
        *_beginning(outcomes),
        *_imports(imports),
    ]


def _bills(outcomes: Mapping[str, Outcome]) -> list[Figure]:
    bills, long, packed = (outcomes.get(name) for name in ("bills", "long", "gzip"))
    checking = by.BY_HAND_CHECKING
    pages = "the interpreter with its libraries, and two pages of 8 MB"
    return [
        speed("bills as `Decimal`, times as fast as m3ter with httpx", 6, bills, by.PEER, by.OURS, _DECIMALS),
        speed("bills as `Decimal`, of the speed by hand", 1.0, bills, by.BY_HAND, by.OURS, _EXACT),
        speed("the same, where each value is looked at by hand as well", 1.0, bills, checking, by.OURS, _DECIMALS),
        speed(
            "the same from compressed pages, where none is",
            1.15,
            packed,
            by.BY_HAND,
            by.OURS,
            "decoding, as inflating is sped up alone: {bill_isal} a bill by isal, {bill_zlib} by zlib, and {bill_exact}"
            " to decode and look",
        ),
        speed(
            "bills by `.raw()` from compressed pages, of the speed by hand",
            1.35,
            packed,
            by.BY_HAND_RAW,
            by.OURS_RAW,
            "inflating: {bill_isal} a bill by isal, {bill_zlib} by zlib",
        ),
        speed(
            "transactions, of the speed by hand",
            0.9,
            outcomes.get("transactions"),
            by.BY_HAND,
            by.OURS,
            "looking whether all is exact, and handing out records one by one: {page_exactness} and {page_rest} of"
            " {page_whole} a page",
        ),
        speed(
            "the same, where each value is looked at by hand as well",
            1.0,
            outcomes.get("transactions"),
            checking,
            by.OURS,
            "handing out records one by one, and asking for the next page: {page_rest} of {page_whole} a page",
        ),
        speed(
            "bills by `.raw()`, times as fast as m3ter with httpx",
            20,
            bills,
            by.PEER,
            by.OURS_RAW,
            "reading and splitting: {bill_reading} and {bill_splitting} a bill",
        ),
        speed(
            "bills by `.as_type()`, times as fast as m3ter with httpx",
            15,
            bills,
            by.PEER,
            by.OURS_TYPED,
            "reading and splitting, and skipping what is not wanted: {bill_reading} and {bill_splitting} a bill",
        ),
        memory("bills, peak memory", 80, bills, by.OURS, pages),
        memory("the same at ten times the bills", 80, long, by.OURS, pages),
        stall(
            "bills, longest event-loop stall",
            bills,
            by.OURS,
            "stall",
            "splitting a page of 100 bills in one step: 100 times {bill_splitting}",
            "stall_cpu",
        ),
    ]


def _gets(outcomes: Mapping[str, Outcome]) -> list[Figure]:
    gets = outcomes.get("gets")
    return [
        speed("small GETs, times as fast as m3ter with httpx", 12, gets, by.PEER, by.OURS, _AIOHTTP),
        speed("small GETs, times as fast as m3ter with aiohttp", 4, gets, by.PEER_AIOHTTP, by.OURS, _AIOHTTP),
        speed("small GETs, of the speed of bare aiohttp", 0.92, gets, by.BY_HAND, by.OURS, _ABOVE + _STAGES),
        speed(
            "small GETs on uvloop, of the speed of bare aiohttp on uvloop",
            0.92,
            gets,
            by.BY_HAND_UVLOOP,
            by.OURS_UVLOOP,
            f"{_ABOVE}, as on the loop of Python{_STAGES}",
        ),
        speed("small GETs over httpx, of the speed of bare httpx", 0.9, gets, by.BY_HAND_HTTPX, by.OURS_HTTPX, _HTTPX),
        speed(
            "small GETs through an httpx client of yours, of the speed of bare httpx",
            0.9,
            gets,
            by.BY_HAND_HTTPX,
            by.OURS_OWN_HTTPX,
            _HTTPX,
        ),
    ]


def _refused(outcomes: Mapping[str, Outcome]) -> list[Figure]:
    gets, bills = outcomes.get("gets-refused"), outcomes.get("bills-refused")
    hand = by.BY_HAND_RETRYING
    singly = "pauses, behind which calls leave one by one: the loop turns for each of them, and not for many at once"
    cpu = gets.ratio(by.GETS_OF_NONE_REFUSED, by.OURS, "cpu") if gets else None
    return [
        speed("small GETs of which 4 % are refused, of the speed by hand", 0.8, gets, hand, by.OURS, _PAUSES),
        speed("the same, times as fast as m3ter with httpx", 2, gets, by.PEER, by.OURS, _PAUSES),
        Figure("the same, of the CPU speed where nothing is refused", 0.8, "x", cpu, singly),
        speed("bills of whose pages 20 % are refused, of the speed by hand", 0.8, bills, hand, by.OURS, _WAITS),
    ]


def _measurements(outcomes: Mapping[str, Outcome]) -> list[Figure]:
    ingest = outcomes.get("ingest")
    encoding = "making a uid for each, looking at each value, and encoding"
    return [
        rate("measurements a second, a `send()` for each", 100_000, ingest, by.OURS_SEND, encoding),
        speed(
            "measurements by `ingest_all()`, times as fast as m3ter with httpx", 10, ingest, by.PEER, by.OURS, encoding
        ),
    ]


def _beginning(outcomes: Mapping[str, Outcome]) -> list[Figure]:
    outcome = outcomes.get("beginning")
    made = "reading proxies out of the environment, and making the parts of a client"
    certificates = "reading the certificates, so that a file that cannot be read is told at once"
    loading = "a thread that imports, and keeps the interpreter for some milliseconds at a time"
    return [
        stall("making a client, longest event-loop stall", outcome, by.BEGIN, "making_stall", made),
        stall("making one with httpx", outcome, by.BEGIN_HTTPX, "making_stall", made),
        stall("the same where `SSL_CERT_FILE` is set", outcome, by.BEGIN_CERTIFICATES, "making_stall", certificates),
        stall("the first call, longest event-loop stall", outcome, by.BEGIN, "first_call_stall", loading),
        stall("the first call with httpx", outcome, by.BEGIN_HTTPX, "first_call_stall", "making httpx's own client"),
        stall("`warm_up()`, longest event-loop stall", outcome, by.BEGIN_WARM, "warming_stall", loading),
        stall("the first call after it", outcome, by.BEGIN_WARM, "first_call_stall", "the modules of the resource"),
    ]


def _imports(imports: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    ours, base = imports.get("import m3ter_async", {}), imports.get("import msgspec", {})
    if "failure" in imports.get("from m3ter_async import AsyncM3ter", {}):
        ours = {}  # a package without its client imports fast
    ratio = ours["seconds"] / base["seconds"] if "seconds" in ours and "seconds" in base else None
    loaded = float("aiohttp" in ours["heavy"]) + len(ours["resources"]) if "heavy" in ours else None
    names = "looking for one file: each name brings its module when it is first used"
    return [
        Figure("`import m3ter_async`, times as long as `import msgspec`", 1.5, "x", ratio, names, at_most=True),
        Figure("`import m3ter_async`, aiohttp and resource modules loaded", 0, "", loaded, names, at_most=True),
    ]
