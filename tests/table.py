"""The table of faults: what can go wrong with an answer, on which calls that is played, and what each must come to.

The tests of reads, writes and secrets go through all of it; ``python -m tests.table`` prints it and counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from m3ter_async import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitError,
    RecordError,
    UnprocessableEntityError,
)

from .wire import PAIRS, SHORT, Move, deep, faults, head, say, squeezed, trickle

Call = Literal["read", "page", "raw", "login", "write"]
READS: tuple[Call, ...] = ("read", "page", "raw", "login")
PAGED: frozenset[Call] = frozenset({"page", "raw"})
ALL: frozenset[Call] = frozenset({*READS, "write"})
WRITES = ("POST", "PUT with version", "DELETE")
NONE: frozenset[Call] = frozenset()


@dataclass(frozen=True)
class Fault:
    """One way in which an answer goes wrong.

    Attributes:
        make: The server's move, for the body that the answer should have carried.
        error: What it ends in, if it stays; where libraries see more or less of it, one of several.
        again: The calls that recover if it happens once. A write that may count twice does so only if it was refused.
        doubt: Whether a write may have taken effect under it.
        refused: Whether it is certain that nothing took effect, and asking again is what the service wants.
        where: The calls on which it is a fault at all.
        wait: The seconds that must pass before the repeat.
        options: Of the client, where it takes some to meet the fault.
    """

    name: str
    make: Callable[[Any], Move] = field(repr=False)
    error: type[APIError] | tuple[type[APIError], ...]
    again: frozenset[Call] = ALL
    doubt: bool = True
    refused: bool = False
    where: frozenset[Call] = ALL
    wait: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def __str__(self) -> str:
        return self.name


def _wire(name: str, error: type[APIError] | tuple[type[APIError], ...] = APIConnectionError, **more: Any) -> Fault:
    return Fault(name, lambda body: faults(body)[name], error, **more)


def _slow(name: str, make: Callable[[Any], Move] | None = None) -> Fault:
    return Fault(name, make or (lambda body: faults(body)[name]), APITimeoutError, options={"timeout": SHORT})


def _status(status: int, error: type[APIError], *, doubt: bool = False, again: frozenset[Call] = NONE) -> Fault:
    def make(body: Any) -> Move:
        return say({"message": f"sorry, {status}", "of": _shown(body)}, status, X_Amzn_RequestId="r-1")

    return Fault(f"answer {status}", make, error, again=again, doubt=doubt, refused=bool(again) and not doubt)


def _wait(status: int, error: type[APIError]) -> Fault:
    refused = status == 429
    return Fault(
        f"answer {status} with Retry-After of 90 s",
        lambda body: say({"message": "sorry", "of": _shown(body)}, status, Retry_After="90"),
        error,
        doubt=not refused,
        refused=refused,
        wait=90.0,
    )


def _redirect(status: int, *, doubt: bool) -> Fault:
    def make(body: Any) -> Move:
        return say({"of": _shown(body)}, status, Location="http://another-host.invalid/elsewhere")

    return Fault(f"redirect {status} to another host", make, APIStatusError, again=NONE, doubt=doubt)


def _answer(name: str, body: bytes, **more: Any) -> Fault:
    return Fault(name, lambda _: say(body), APIResponseValidationError, **more)


def _paged(name: str, body: Callable[[str], Any]) -> Fault:
    """A page that is no error by itself, and may only not be the end; "~" marks another name of the same page."""
    make: Callable[[Any], Move] = lambda page: say(body(f"{page['token']}~"))  # noqa: E731
    return Fault(name, make, APIResponseValidationError, where=PAGED, again=PAGED)


def _shown(body: Any) -> Any:
    """What a server echoes."""
    return body if isinstance(body, dict) else None


def _endless(start: bytes, part: bytes) -> Callable[[Any], Move]:
    def act(peer: Any) -> None:
        peer.send(start)
        while True:
            peer.send(part)

    return lambda _: Move("without end", act)


_CHUNKED = head(200, [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")])
_SMALL = {"max_response_bytes": 100_000}
_EITHER = (APIConnectionError, APIResponseValidationError)
_AFTER_LOGIN: frozenset[Call] = ALL - {"login"}
_MEGABYTE = b'{"data": [], "nextToken": "%b"}' % (b"x" * 1_000_000)
_HUNDREDS = b'{"data": ["' + b"x" * 200_000 + b'"]}'

TABLE: tuple[Fault, ...] = (
    # the connection
    _wire("reset instead of an answer"),
    _wire("closed instead of an answer"),
    _wire("reset mid-head"),
    _wire("closed mid-head"),
    _wire("reset mid-body"),
    _wire("closed mid-body"),
    _slow("stalls before the answer"),
    _slow("stalls mid-body"),
    _slow("a byte now and then", lambda body: trickle(body, pause=0.02)),
    # HTTP
    _wire("not HTTP"),
    _wire("headers without end"),
    Fault("headers one by one without end", _endless(_CHUNKED[:-2], b"X-More: m\r\n" * 99), APIConnectionError),
    _wire("content-length too long"),
    _wire("content-length too short", _EITHER),
    _wire("chunked body cut"),
    _wire("chunk of no size"),
    _wire("broken gzip"),
    _wire("gzip cut"),
    _wire("plain called gzip"),
    Fault(
        "a body of hundreds of MB",
        _endless(_CHUNKED, b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
        APIResponseValidationError,
        again=NONE,
        options=_SMALL,
    ),
    Fault(
        "the same in gzip",
        lambda _: squeezed(_HUNDREDS, "gzip"),
        APIResponseValidationError,
        again=NONE,
        options=_SMALL,
    ),
    _redirect(301, doubt=True),
    _redirect(302, doubt=True),
    _redirect(303, doubt=True),
    _redirect(307, doubt=False),
    _redirect(308, doubt=False),
    # statuses
    _status(400, BadRequestError),
    _status(401, AuthenticationError, again=_AFTER_LOGIN),
    _status(403, PermissionDeniedError),
    _status(404, NotFoundError),
    _status(408, APIStatusError, doubt=True, again=ALL),
    _status(409, ConflictError),
    _status(413, PayloadTooLargeError),
    _status(422, UnprocessableEntityError),
    _status(425, APIStatusError, again=ALL),
    _status(429, RateLimitError, again=ALL),
    _status(500, InternalServerError, doubt=True, again=ALL),
    _status(501, InternalServerError),
    _status(502, InternalServerError, doubt=True, again=ALL),
    _status(503, InternalServerError, doubt=True, again=ALL),
    _status(504, InternalServerError, doubt=True, again=ALL),
    _status(599, InternalServerError, doubt=True, again=ALL),
    _wait(429, RateLimitError),
    _wait(503, InternalServerError),
    # a success that is none
    _wire("JSON cut", APIResponseValidationError),
    _wire("HTML 200", APIResponseValidationError),
    _wire("nothing 200", APIResponseValidationError),
    _wire("not UTF-8", APIResponseValidationError),
    # a page of one record that nobody can decode, and which `raw` hands out
    Fault(
        "JSON nested deeply",
        lambda _: say(deep()),
        (APIResponseValidationError, RecordError),
        again=NONE,
        where=ALL - {"raw"},
    ),
    _answer("null", b"null", again=PAGED),
    _answer("an array", b"[]", again=PAGED),
    _answer("200 without data", b'{"nextToken": "t9"}', where=PAGED | {"login"}, again=PAGED),
    _answer("data of another kind", b'{"data": {"id": "b"}, "id": 7, "access_token": 7}', again=PAGED),
    _answer("nextToken of another kind", b'{"data": [], "nextToken": 7}', where=PAGED, again=PAGED),
    _paged("an empty page with a token", lambda token: {"data": [], "nextToken": token}),
    _answer("nextToken of a megabyte", _MEGABYTE, where=PAGED, again=PAGED),
)
BY_NAME = {fault.name: fault for fault in TABLE}


def cells() -> Iterator[tuple[Fault, str, str]]:
    """Every fault on every call on which it can happen, once and for good: what is tried over each transport."""
    for fault in TABLE:
        calls = [call for call in READS if call in fault.where] + [call for call in WRITES if "write" in fault.where]
        for call in calls:
            for form in ("once", "for good"):
                yield fault, call, form


def main() -> None:
    for fault in TABLE:
        held = {call: "recovers" if call in fault.again else "typed error" for call in (*READS, "write")}
        shown = [f"{held[call] if call in fault.where else '':11}" for call in (*READS, "write")]
        print(f"{fault.name:42} {' '.join(shown)} {'in doubt' if fault.doubt else ''}".rstrip())
    number = len(list(cells()))
    print(f"{len(TABLE)} faults, {number} cases over each of {', '.join('-'.join(pair) for pair in PAIRS)}")


if __name__ == "__main__":
    main()
