"""One exchange with the service: the request is built and sent, and what came back is a response or a failure."""

from __future__ import annotations

import math

import anyio

from ..errors import M3terError
from ..transports.protocol import Request, Response, TransportError
from ..version import __version__
from .auth import Token
from .call import Call
from .instrumentation import Entry
from .outcomes import Failure
from .parts import Parts
from .settings import Settings

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "User-Agent": f"m3ter-async/{__version__}",
}


async def exchange(
    parts: Parts, settings: Settings, call: Call, entry: Entry, token: Token | None, left: float
) -> Response | Failure:
    """Send `call` once.

    Args:
        parts: What the calls of the client share.
        settings: Those of the view.
        call: What to send.
        entry: Is told what happens.
        token: Goes with it; None for a login and for what needs none.
        left: Seconds until the call must end.
    """
    outcome: Response | Failure
    request = call.bare() if call.bare else _request(parts, settings, call, token)
    if left < request.timeout and not request.streamed:
        request.timeout = left
    try:
        entry.sent(request)
        try:
            # a scope costs more than the rest of this: a caller's own needs no second one, nor does a transport that
            # keeps time by itself; but a streamed exchange has no time limit of its own
            bounded = settings.total == math.inf or getattr(parts.transport, "keeps_time", False)
            if left == math.inf or (bounded and not request.streamed):
                outcome = await parts.transport.send(request)
            else:
                outcome = await _within(left, parts, request)
        except TransportError as error:
            outcome = parts.reader(call).broken(request.method, call.path, error)
        except Exception as error:
            if request.streamed or isinstance(error, M3terError):  # of the caller's own file, or words of our own
                raise
            # of a transport of the caller's own: its class says nothing of the outcome
            outcome = parts.reader(call).raw(request.method, call.path, error)
    except BaseException as error:
        entry.lost(error)
        raise
    if isinstance(outcome, Failure):
        entry.lost(outcome.error)  # not while an error is handled, which may hold what a server echoed
    else:
        entry.answered(outcome)
    return outcome


async def _within(left: float, parts: Parts, request: Request) -> Response:
    with anyio.move_on_after(left):
        return await parts.transport.send(request)
    raise TransportError("no answer before the call's time was over", timeout=True)


def _request(parts: Parts, settings: Settings, call: Call, token: Token | None) -> Request:
    headers = {"Authorization": parts.tokens.basic() if token is None else token.header, **_HEADERS, **settings.headers}
    if call.content is not None:
        headers["Content-Type"] = "application/json"
    url = parts.hosts[call.operation.server] + call.path
    if call.query:
        url += "?" + call.query
    return Request(call.operation.method, url, headers, call.content, settings.timeout, settings.max_bytes)
