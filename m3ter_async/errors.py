"""What a call can end with, besides its answer.

Failures of the wire (`APIConnectionError`) are kept apart from failures that were answered (`APIStatusError`) and
from answers that cannot be read (`APIResponseValidationError`). Every one pickles, and none holds a secret.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "ExportError",
    "InternalServerError",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobTimeoutError",
    "M3terError",
    "MeasurementError",
    "NotFoundError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "RateLimitError",
    "RecordError",
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
        reason: What went wrong, in words; `message` is the same.
        status: The HTTP status, also where the answer broke off behind it; None where nothing was answered.
            `status_code` is the same.
        request_id: What the service calls this request, for its support, or None.
        body: The body as it came, at most 64 KiB of it, with secrets masked.
        outcome_unknown: True where a write may or may not have taken effect: look before you repeat it.
        attempts: How often the request was sent.
        next_token: In a listing, the token of the page that failed: go on from there (None is the first page).
        out_of_time: True where only time was missing: what went wrong may pass, and was not repeated because
            ``max_retry_time``, ``total_timeout`` or the caller's own deadline left no time for it.
    """

    out_of_time: bool = False

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
        reason = _printable(reason)
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

    @property
    def status_code(self) -> int | None:
        """`status`, by the name that httpx and the ``m3ter`` package have for it."""
        return self.status

    @property
    def message(self) -> str:
        """`reason`, by the name that the ``m3ter`` package has for it."""
        return self.reason

    def __str__(self) -> str:
        text = f"{self.method} {self.path}: {self.reason}" if self.method else self.reason
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


class ClientClosedError(APIError):
    """The client or its transport was closed, or belongs to another event loop or process; from here nothing was sent.

    It is no `APIConnectionError`: the same call would fail the same way again.
    """


class APIResponseValidationError(APIError):
    """An answer came that is not what the contract says.

    Attributes:
        json_path: Where in the answer's JSON, as ``$.data[3].lineItems[0].subtotal``, or None where it is not JSON.
    """

    json_path: str | None = None


class RecordError(APIResponseValidationError):
    """A record of a listing that cannot be decoded: the rest of its listing goes on behind it.

    Attributes:
        record: The JSON of the record, byte for byte, but for secrets of the client, which are masked.
        index: Its place in its page, from 0. The page is the one that `next_token` fetches; None is the first.
    """

    record: bytes = b""
    index: int = 0


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


class MeasurementError(M3terError, ValueError):
    """A measurement that could never be accepted; nothing of it was sent.

    Attributes:
        field: Which field is wrong, such as ``ts`` or ``measure.calls``; empty where it is the whole.
        reason: What is wrong with it.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field or 'measurement'}: {self.reason}"


class ExportError(M3terError):
    """An export that stopped: a full disk, a store that failed, a folder that was changed meanwhile.

    What was finished before is kept.

    Attributes:
        resumable: Whether ``resume=True`` may well go on from there; not where it would only fail in the same place.
    """

    def __init__(self, reason: str, *, resumable: bool = True) -> None:
        super().__init__(reason)
        self.resumable: bool = resumable


def _printable(text: str) -> str:
    """`text` on one line, whatever a server has put into it: it will stand in a log, among lines of others."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


for _public in __all__:
    globals()[_public].__module__ = "m3ter_async"  # where users import it from
