"""What an attempt that brought nothing to use means: which exception it is, and whether it may be made again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from ..errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
    _printable,
)
from ..transports.protocol import Response, TransportError
from .decoding import Unreadable
from .redaction import MASK, Redactor
from .retry import Verdict, retry_after, verdict

_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: PayloadTooLargeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}

REQUEST_ID_HEADERS = ("x-amzn-requestid", "x-amz-apigw-id", "x-request-id", "x-amzn-trace-id", "x-amz-cf-id")

_KEPT_BODY = 65_536  # bytes


class _ErrorBody(msgspec.Struct):
    message: Any = None


@dataclass(slots=True)
class Failure:
    """An attempt that brought nothing to use.

    Attributes:
        error: What the caller gets, if it stays at that.
        verdict: Whether the attempt may be made again.
        doubt: True where it may have taken effect all the same.
        heavy: True where it may have been too much at once: a smaller page may come in time where this one did not.
    """

    error: APIError
    verdict: Verdict
    doubt: bool = False
    heavy: bool = False

    @property
    def waits(self) -> bool:
        """Whether it was refused for certain, so that repeating it costs time and no tries.

        Silence while connecting had no effect either, but it is no refusal: nobody may be there at all.
        """
        return self.verdict == "refused" and not isinstance(self.error, APITimeoutError)

    @property
    def retry_after(self) -> float | None:
        """Seconds that the service asked for."""
        return self.error.retry_after if isinstance(self.error, APIStatusError) else None

    @property
    def throttled(self) -> bool:
        """Whether the service only asked for patience."""
        return self.error.status == 429


class FailureReader:
    """Turns what came back into a `Failure`, with every secret masked.

    Args:
        secrets: Gives what must not be seen, at the time of asking: tokens change.
        wall: Gives the present, in seconds since 1970, for a ``Retry-After`` that is a date.
    """

    def __init__(self, secrets: Callable[[], Iterable[str]], wall: Callable[[], float]) -> None:
        self._secrets = secrets
        self._wall = wall
        self._masked: tuple[str, ...] = ()
        self._redactor = Redactor(())

    def redactor(self) -> Redactor:
        """One that masks the secrets of now; making it takes longer than using it, so it is kept."""
        secrets = tuple(self._secrets())
        if secrets != self._masked:
            self._masked, self._redactor = secrets, Redactor(secrets)
        return self._redactor

    def broken(self, method: str, path: str, error: TransportError) -> Failure:
        """No whole answer came."""
        reason = self.redactor().text(error.reason)
        if error.too_large:
            failure: APIError = APIResponseValidationError(reason, method=method, path=path, status=error.status)
            return Failure(failure, "final", doubt=True, heavy=True)
        if error.closed:
            return Failure(ClientClosedError(reason, method=method, path=path), "final")
        kind = APITimeoutError if error.timeout else APIConnectionError
        again: Verdict = "doubtful" if error.sent else "final" if error.final else "refused"
        found = kind(reason, method=method, path=path, status=error.status)
        return Failure(found, again, doubt=error.sent, heavy=error.timeout and error.sent)

    def raw(self, method: str, path: str, error: Exception) -> Failure:
        """A transport raised what is no `TransportError`: nobody knows how far the request came."""
        # only its kind is told: its text was not looked through for secrets
        reason = f"the transport failed ({type(error).__name__})"
        return Failure(APIConnectionError(reason, method=method, path=path), "doubtful", doubt=True)

    def refused(self, method: str, path: str, response: Response, *, keep: bool) -> Failure:
        """The service answered with a status that is not a success.

        Args:
            keep: Whether the body may be shown at all; that of a login holds a token.
        """
        redactor = self.redactor()
        body = redactor.clean(response.content, _KEPT_BODY) if keep else b""
        headers = {name.lower(): redactor.text(value) for name, value in response.headers.items()}
        error = status_error(response.status, headers, body, method=method, path=path)
        error.reason = redactor.text(error.reason)  # taken out of JSON, it has one escaping less
        error.args = (error.reason,)
        kind = verdict(response.status)
        # a redirect to "see another page" may come after the deed; only 307 and 308 ask for it to be done elsewhere
        doubt = kind == "doubtful" or response.status in (301, 302, 303)
        error.retry_after = retry_after(headers.get("retry-after"), self._wall(), headers.get("date"))
        return Failure(error, kind, doubt=doubt, heavy=response.status in (413, 502, 504))

    def unreadable(self, method: str, path: str, response: Response, cause: Unreadable, *, keep: bool) -> Failure:
        """The service answered with a success that cannot be read.

        Args:
            keep: As in `refused`.
        """
        redactor = self.redactor()
        body = redactor.clean(response.content, _KEPT_BODY) if keep else b""
        where = f" at {cause.json_path}" if cause.json_path else ""
        error = APIResponseValidationError(
            f"the answer ({response.status}) cannot be read{where}: {redactor.text(cause.reason)}",
            method=method,
            path=path,
            status=response.status,
            request_id=request_id({name.lower(): redactor.text(value) for name, value in response.headers.items()}),
            body=body,
        )
        error.json_path = cause.json_path
        # it is a success, if only the service and not some gateway in between has sent it
        return Failure(error, "doubtful" if cause.passing else "final", doubt=True)


def passes(error: APIError) -> bool:
    """Whether an error speaks of the moment: the same call may succeed later."""
    if isinstance(error, APIConnectionError):
        return True
    return error.status is not None and verdict(error.status) != "final"


def held_back(method: str, path: str, seconds: float) -> RateLimitError:
    """A call was not sent: the service asked not to be called for longer than the caller would wait."""
    reason = f"not sent: the service asked not to be called for another {seconds:.0f} s"
    error = RateLimitError(reason, method=method, path=path, status=429)
    error.retry_after = seconds
    error.out_of_time = True
    return error


def too_late(method: str, path: str, seconds: float, waited_for: str) -> APITimeoutError:
    """A call was not sent: its time was over before.

    Args:
        method: The HTTP method.
        path: What was to be called.
        seconds: How long it waited.
        waited_for: What had not come when the time was over.
    """
    reason = f"not sent: {waited_for} did not come within {seconds:.1f} s"
    error = APITimeoutError(reason, method=method, path=path)
    error.out_of_time = True
    return error


def request_id(headers: Mapping[str, str]) -> str | None:
    """The service's name for a request, from the headers (lower-case names) of its answer."""
    return next((_printable(headers[name]) for name in REQUEST_ID_HEADERS if name in headers), None)


def status_error(status: int, headers: Mapping[str, str], body: bytes, *, method: str, path: str) -> APIStatusError:
    """The exception for an answer that is not a success."""
    try:
        message = msgspec.json.decode(body, type=_ErrorBody).message
    except (
        ValueError,
        msgspec.MsgspecError,
        RecursionError,
    ):  # an HTML page or nothing at all is as good as no message
        message = None
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    reason = f"{status} {phrase}".strip()
    if 300 <= status < 400:
        where, query, _ = headers.get("location", "nowhere").partition("?")
        where = f"{where[:200]}?{MASK}" if query else where[:200]  # what comes then may be what signs a URL
        reason += f", a redirect that is not followed (to {where})"
    elif isinstance(message, str) and message:
        reason += f": {message[:1000]}"
    kind = _BY_STATUS.get(status) or (InternalServerError if status >= 500 else APIStatusError)
    return kind(reason, method=method, path=path, status=status, request_id=request_id(headers), body=body)
