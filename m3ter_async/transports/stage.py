"""How far an exchange came, and what a failure means at that point, whatever class of exception it came as."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar, cast

from .network import Route
from .protocol import Response, TransportError

E = TypeVar("E", bound=BaseException)

_CONNECT = 10.0  # seconds
_SHARE = 0.75
REFUSAL_BYTES = 65_536
REFUSAL_SECONDS = 2.0

_NO_SUCH_HOST = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_OTHER_HOST = (62, 64)  # OpenSSL's codes for a certificate of another name or address
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL", "RECORD_LAYER_FAILURE")


def connect_within(timeout: float) -> float:
    """Seconds for all that comes before the first byte: less than for the whole, so that it is known what ran out."""
    return min(_CONNECT, timeout * _SHARE)


class Enough(Exception):
    """Of this body no more is needed."""


class Stage:
    """How far one exchange came.

    Attributes:
        begun: Whether a byte of the request may have left.
        status: What was answered, or None.
        headers: What came with it.
        body: What was read of the body of an answer that is no success.
        route: The way that is gone, once that is known.
    """

    # what stays as it is costs nothing: there is a stage for each request
    begun = False
    status: int | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""
    route: Route | None = None

    def __init__(self) -> None:
        self._outside = sys.exception()

    def may_have_left(self) -> bool:
        """Whether a byte of the request may have left."""
        return self.begun or self.status is not None

    def answered(self, status: int, headers: Mapping[str, str]) -> bool:
        """Note a status; whether it is a success."""
        self.status = status
        self.headers = headers
        if self.route is not None:
            self.route.worked = True
        return 200 <= status < 300

    async def take(self, piece: bytes) -> None:
        """Keep a piece of the body of an answer that is no success.

        Raises:
            Enough: No more is needed.
        """
        self.body = (self.body + piece)[:REFUSAL_BYTES]
        if len(self.body) >= REFUSAL_BYTES:
            raise Enough

    def refusal(self) -> Response | None:
        """The answer, if there is one and it is no success: that holds whatever became of its body."""
        if self.status is None or 200 <= self.status < 300:
            return None
        return Response(self.status, self.headers, self.body)

    def broken(self, failure: TransportError) -> Response:
        """What an exchange that failed brought all the same: the answer that is no success, where there is one.

        Called where no exception is handled, so that nothing is chained: the frames of a library hold headers, and its
        texts quote what came in.

        Raises:
            TransportError: There is none.
        """
        if refusal := self.refusal():
            return refusal
        raise failure.with_traceback(None)

    def failure(self, error: Exception, *, peer: str = "", late: bool = False) -> TransportError:
        """What `error` means at this stage.

        Args:
            error: What a library, or a hook in it, raised.
            peer: What the connection was being made to, where that is not the next on the route.
            late: Whether `error` says that the time ran out.
        """
        if isinstance(error, TransportError):
            error.status = self.status
            return error
        late = late or isinstance(error, TimeoutError)
        if self.may_have_left():
            return self._doubt(error, late=late)
        if late:
            return TransportError(f"no connection{_to(peer or _next(self.route))} in time", sent=False, timeout=True)
        return _unsent(list(_chain(error, self._outside)), self.route, peer or _next(self.route))

    def _doubt(self, error: Exception, *, late: bool) -> TransportError:
        name = type(error).__name__
        if late:
            return TransportError("no answer in time", timeout=True, status=self.status)
        if self.status is None and (isinstance(error, OSError) or "Disconnected" in name):
            return TransportError(f"the connection broke ({name})")
        return TransportError(f"the answer broke off or is not HTTP ({name})", status=self.status)


def refused_by_proxy(route: Route, status: int, phrase: str) -> TransportError:
    """A proxy did not open a tunnel. What it says of itself may pass; what it says of the request stays."""
    shown = f"{status} {phrase}".strip()[:200]
    mend = "set its user and password in" if status == 407 else "see"
    proxy = "the proxy" if route.proxy is None else _next(route)
    return TransportError(
        f"no connection: {proxy} refused to connect to {route.host} ({shown}); {mend} proxy= or HTTPS_PROXY, or"
        " name the host in NO_PROXY",
        sent=False,
        final=status not in (408, 425, 429) and (400 <= status < 500 or not route.worked),
    )


def _unsent(causes: list[BaseException], route: Route | None, peer: str) -> TransportError:
    by_proxy = route is not None and route.proxy is not None and peer == _next(route)
    proven = route is not None and route.worked
    if certificate := _last(causes, ssl.SSLCertVerificationError):
        reason = f"the certificate of {peer} is not trusted ({_said(certificate)})"
        if getattr(certificate, "verify_code", 0) not in _OTHER_HOST:
            reason += "; if it is right, pass ssl_context=, or name its authority's file in SSL_CERT_FILE"
        return _final(reason)
    if tls := _last(causes, ssl.SSLError):
        reason = getattr(tls, "reason", None) or type(tls).__name__
        if reason in _NO_TLS:
            return _final(f"{peer} does not speak TLS ({reason})")
        return TransportError(f"no connection: TLS with {peer} failed ({reason})", sent=False)
    if look_up := _last(causes, socket.gaierror):
        if look_up.errno in _NO_SUCH_HOST:
            reason = f"the host of {peer} does not exist" + _of_proxy(by_proxy)
            return TransportError(f"no connection: {reason}", sent=False, final=not proven)
        return TransportError(f"no connection: the name of {peer} was not found ({look_up.strerror})", sent=False)
    if _last(causes, UnicodeError):
        return _final(f"{peer} has a name that no host can have" + _of_proxy(by_proxy))
    if system := _errno(causes):
        number, said = system
        reason = f"no connection{_to(peer)}: {said}" + _of_proxy(by_proxy)
        return TransportError(reason, sent=False, final=by_proxy and not proven and number == errno.ECONNREFUSED)
    return TransportError(f"no connection{_to(peer)} ({type(causes[0]).__name__})", sent=False)


def _said(certificate: ssl.SSLCertVerificationError) -> str:
    return getattr(certificate, "verify_message", "") or type(certificate).__name__


def _errno(causes: list[BaseException]) -> tuple[int, str] | None:
    # the last one is the innermost: libraries wrap theirs around that of the system
    numbers = [one.errno for one in causes if isinstance(one, OSError) and one.errno in errno.errorcode]
    number = numbers[-1] if numbers else None
    return None if number is None else (number, f"{os.strerror(number)} ({errno.errorcode[number]})")


def _next(route: Route | None) -> str:
    """What is connected to first on a route, as it is shown."""
    if route is None:
        return ""
    return route.host if route.proxy is None else f"the proxy {route.proxy.url}"


def _to(peer: str) -> str:
    return f" to {peer}" if peer else ""


def _of_proxy(by_proxy: bool) -> str:
    return "; it comes from proxy= or from HTTPS_PROXY, HTTP_PROXY or ALL_PROXY" if by_proxy else ""


def _final(reason: str) -> TransportError:
    return TransportError(f"no connection: {reason}", sent=False, final=True)


def _last(causes: list[BaseException], kind: type[E]) -> E | None:
    """The innermost of a kind: those of the libraries around it lack what it says."""
    return next((one for one in reversed(causes) if isinstance(one, kind)), None)


def _chain(error: BaseException, outside: BaseException | None) -> Iterator[BaseException]:
    """An exception and all that it came from, but for what the caller was handling when it made its call."""
    seen = {id(None), id(outside)}
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop(0)
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            left += [one.__cause__, one.__context__]
            if isinstance(one, BaseExceptionGroup):
                left += cast("BaseExceptionGroup[BaseException]", one).exceptions
