"""What a call can end with, besides its answer.

Failures of the wire (`APIConnectionError`) are kept apart from failures that were answered (`APIStatusError`) and
from answers that cannot be read (`APIResponseValidationError`). Every one pickles, and none holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from .redaction import MASK

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "InternalServerError",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobTimeoutError",
    "M3terError",
    "NotFoundError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "RateLimitError",
    "UnprocessableEntityError",
]


class M3terError(Exception):
    """The root of all that a call raises, but for ``TypeError`` and ``ValueError`` on bad arguments."""


class ConfigurationError(M3terError):
    """The client cannot be set up as asked; the text names the argument and the environment variable."""


class APIError(M3terError):
    """A call that did not end with an answer that can be used.

    Attributes:
        method: The HTTP method.
        path: The path called, percent-encoded, without host and query.
        status: The HTTP status, or None where nothing was answered.
        request_id: What the service calls this request, for its support, or None.
        body: The body as it came, at most 64 KiB of it, with secrets masked.
        outcome_unknown: True where a write may or may not have taken effect: look before you repeat it.
        attempts: How often the request was sent.
        next_token: In a listing, the token of the page that failed: go on from there (None is the first page).
    """

    def __init__(
        self,
        reason: str,
        *,
        method: str,
        path: str,
        status: int | None = None,
        request_id: str | None = None,
        body: bytes = b"",
        outcome_unknown: bool = False,
        attempts: int = 1,
        next_token: str | None = None,
    ) -> None:
        reason = printable(reason)
        super().__init__(reason)
        self.reason = reason
        self.method = method
        self.path = path
        self.status = status
        self.request_id = request_id
        self.body = body
        self.outcome_unknown = outcome_unknown
        self.attempts = attempts
        self.next_token = next_token

    def __str__(self) -> str:
        text = f"{self.method} {self.path}: {self.reason}"
        if self.attempts > 1:
            text += f" (after {self.attempts} attempts)"
        if self.outcome_unknown:
            text += "; the outcome is unknown: it may have taken effect, look before you repeat it"
        if self.request_id:
            text += f" [request id {self.request_id}]"
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[APIError], args: tuple[Any, ...], state: dict[str, Any]) -> APIError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class APIConnectionError(APIError):
    """No answer came: the connection failed or broke."""


class APITimeoutError(APIConnectionError):
    """No answer came in time."""


class APIResponseValidationError(APIError):
    """An answer came that is not what the contract says.

    Attributes:
        json_path: Where in the answer's JSON, as ``$.data[3].lineItems[0].subtotal``, or None where it is not JSON.
    """

    json_path: str | None = None


class APIStatusError(APIError):
    """The service answered with a status that is not a success.

    Attributes:
        retry_after: Seconds after which the service asked to be called again, or None where it did not say.
    """

    retry_after: float | None = None


class BadRequestError(APIStatusError):
    """400: the service names what it does not accept."""


class AuthenticationError(APIStatusError):
    """401: the credentials or the token were not accepted."""


class PermissionDeniedError(APIStatusError):
    """403: not permitted, an organization that is not yours, or a token that ended."""


class NotFoundError(APIStatusError):
    """404: there is no such thing."""


class ConflictError(APIStatusError):
    """409: the ``version`` sent is not the stored one."""


class PayloadTooLargeError(APIStatusError):
    """413: the body is too large."""


class UnprocessableEntityError(APIStatusError):
    """422: understood, but not possible."""


class RateLimitError(APIStatusError):
    """429: too many requests, or ten bill jobs at once."""


class InternalServerError(APIStatusError):
    """5xx: the service failed."""


class JobError(M3terError):
    """A job of the service did not come to the end that was waited for.

    Attributes:
        job: The job as it was last seen, or None where the first look did not end in time.
    """

    def __init__(self, reason: str, job: Any) -> None:
        super().__init__(reason, job)
        self.reason = reason
        self.job = job

    def __str__(self) -> str:
        return self.reason


class JobFailedError(JobError):
    """The job failed."""


class JobCancelledError(JobError):
    """Somebody cancelled the job."""


class JobTimeoutError(JobError):
    """The job had not ended in time; it goes on at the service, and can be waited for again."""


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


class _ErrorBody(msgspec.Struct):
    message: Any = None


def printable(text: str) -> str:
    """`text` on one line, whatever a server has put into it: it will stand in a log, among lines of others."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def request_id(headers: Mapping[str, str]) -> str | None:
    """The service's name for a request, from the headers (lower-case names) of its answer."""
    return next((printable(headers[name]) for name in REQUEST_ID_HEADERS if name in headers), None)


def status_error(status: int, headers: Mapping[str, str], body: bytes, *, method: str, path: str) -> APIStatusError:
    """The exception for an answer that is not a success."""
    try:
        message = msgspec.json.decode(body, type=_ErrorBody).message
    except (ValueError, RecursionError):  # an HTML page or nothing at all is as good as no message
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
