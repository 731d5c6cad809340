"""Exchanges whose bodies are never in memory whole: the caller's ends of them, and their time limit."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import replace

import anyio

from .protocol import Request, Response, TransportError
from .stage import Stage

_SLOWEST = 1024.0  # bytes per second: who stays below that uses up the patience
_PIECE = 262_144  # bytes; of a larger one nobody would see that it moves


async def move(request: Request, exchange: Callable[[Request], Awaitable[Response]], stage: Stage) -> Response:
    """Run a streamed exchange under a limit on silence; what the caller's own ends raise comes out as it is.

    Args:
        stage: Where `exchange` notes how far it came.

    Raises:
        TransportError: No whole answer came, or a success before everything was sent.
    """
    patience = _Patience(request.timeout)
    source = None
    if request.pieces is not None:
        source = _Source(request.pieces, int(request.headers["Content-Length"]), patience)
    into = None if request.into is None else patience.with_rest(request.into)
    with patience.scope:
        try:
            response = await exchange(replace(request, pieces=source, into=into, timeout=math.inf))
        except TransportError:
            if patience.error is None:
                raise
        else:
            if source is not None and source.left and 200 <= response.status < 300:
                raise TransportError("a success was answered before everything was sent")
            return response
    # raised here, where nothing is chained: a library's frames hold the URL
    if patience.error is not None:
        raise patience.error
    if refusal := stage.refusal():
        return refusal
    if stage.may_have_left():
        raise TransportError("hardly a byte moved in time", timeout=True, status=stage.status)
    raise TransportError("no connection in time", sent=False, timeout=True)


class _Patience:
    """Used up by time on the wire and given back by bytes; it rests while the caller's own ends work.

    Attributes:
        scope: Ends the exchange with the patience.
        error: What the caller's own ends raised: libraries take it for a failure of the wire.
    """

    def __init__(self, seconds: float) -> None:
        self._most = seconds
        self.scope = anyio.CancelScope(deadline=anyio.current_time() + seconds)
        self.error: Exception | None = None

    def refill(self, size: int) -> None:
        self.scope.deadline = min(anyio.current_time() + self._most, self.scope.deadline + size / _SLOWEST)

    @contextmanager
    def rest(self) -> Generator[None]:
        left = self.scope.deadline - anyio.current_time()
        self.scope.deadline = math.inf
        try:
            yield
        except Exception as error:
            self.error = error
            raise
        finally:
            self.scope.deadline = anyio.current_time() + left

    def with_rest(self, into: Callable[[bytes], Awaitable[None]]) -> Callable[[bytes], Awaitable[None]]:
        async def take(piece: bytes) -> None:
            self.refill(len(piece))
            with self.rest():
                await into(piece)

        return take


class _Source:
    """A body that comes in pieces, `left` bytes in all and not one more."""

    def __init__(self, pieces: AsyncIterable[bytes], left: int, patience: _Patience) -> None:
        self._pieces = pieces.__aiter__()
        self._large = memoryview(b"")
        self._patience = patience
        self.left = left

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.left:
            raise StopAsyncIteration
        with self._patience.rest():
            piece = await self._pull()
            self.left -= len(piece)
            # looked beyond the end: a library stops at the length that was announced, and drops the rest
            if not piece or self.left < 0 or (not self.left and await self._pull()):
                raise ValueError("the content to upload is not as long as was announced; did it change meanwhile?")
        self._patience.refill(len(piece))
        return piece

    async def _pull(self) -> bytes:
        """The next piece with anything in it; an empty one is the end."""
        while not self._large:
            try:
                self._large = memoryview(await self._pieces.__anext__())
            except StopAsyncIteration:
                break
        piece, self._large = bytes(self._large[:_PIECE]), self._large[_PIECE:]
        return piece
