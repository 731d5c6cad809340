"""What good answers came with, for those who ask."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from ..events import Answer, CallInfo
from ..transports.protocol import Response
from .outcomes import request_id
from .redaction import Redactor


class _Listener:
    """A list that takes answers as long as its block goes on.

    Args:
        client: What tells the calls of one client from those of others.
    """

    __slots__ = ("answers", "client")

    def __init__(self, client: object) -> None:
        self.client: object | None = client
        self.answers: list[Answer] = []


_listeners: ContextVar[tuple[_Listener, ...]] = ContextVar("m3ter_listeners", default=())


@contextmanager
def listening(client: object) -> Generator[list[Answer]]:
    """Collect the answers to all calls of `client` that the block makes, also in tasks that it starts."""
    listener = _Listener(client)
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield listener.answers
    finally:
        listener.client = None
        _listeners.reset(token)


def heard() -> bool:
    """Whether anybody listens."""
    return bool(_listeners.get())


def tell(
    client: object, call: CallInfo, attempts: int, response: Response, seconds: float, redactor: Redactor | None
) -> None:
    """Hand an answer to those who listen to its client.

    Args:
        redactor: Masks what the headers must not show; None for a URL that is presigned: its host is not the service.
    """
    headers: Mapping[str, str] = {}
    if redactor is not None:
        headers = {name.lower(): redactor.text(value) for name, value in response.headers.items()}
    answer = Answer(call, attempts, response.status, headers, request_id(headers), seconds)
    for listener in _listeners.get():
        if listener.client is client:
            listener.answers.append(answer)
