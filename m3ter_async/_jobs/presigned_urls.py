"""Files behind presigned URLs: whoever holds one needs no login, so it is kept as a secret and gets no token."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, TypeAlias
from urllib.parse import unquote, urlsplit

from anyio import to_thread

from .._core.call import Call
from .._core.decoding import Unreadable
from .._core.instrumentation import HandedOn
from .._core.operation import PRESIGNED, Operation
from .._core.pipeline import Pipeline
from .._core.redaction import Secret
from .._core.settings import loopback
from ..errors import APIResponseValidationError, ConfigurationError
from ..transports.protocol import Request, Response
from ..version import __version__

Content: TypeAlias = "str | os.PathLike[str] | bytes | Iterable[bytes] | AsyncIterable[bytes]"
"""What can be uploaded: the path of a file, the bytes themselves, or pieces of them."""

_URL = re.compile(r"https?://[\w.:\[\]-]+/[!-~]*", re.ASCII | re.IGNORECASE)
_NAME = re.compile(r"[!#$%&'*+.^_`|~\w-]+", re.ASCII)
_VALUE = re.compile(r"[ -~]*")
_OURS = {"host", "content-length", "transfer-encoding"}  # headers that say how it is sent, not what
_PIECE = 262_144  # bytes
_ANY_SIZE = 2**63
_PUBLIC = 7  # characters: values up to this length are flags and numbers, not secrets


async def download(pipeline: Pipeline, url: Secret | None) -> bytes:
    """Fetch a file into memory, up to the client's ``max_response_bytes``."""
    pieces: list[bytes] = []

    async def take(piece: bytes) -> None:
        pieces.append(piece)

    await _fetch(pipeline, url, pipeline.settings.max_bytes, take, pieces.clear)
    return b"".join(pieces)


async def download_to(pipeline: Pipeline, url: Secret | None, path: str | os.PathLike[str]) -> None:
    """Fetch a file of any size; at `path` it appears, or replaces another, once it is whole."""
    with _replacing(Path(path)) as file:

        async def take(piece: bytes) -> None:
            await to_thread.run_sync(file.write, piece)

        await _fetch(pipeline, url, _ANY_SIZE, take, lambda: file.truncate(file.seek(0)))


async def upload(
    pipeline: Pipeline,
    url: Secret | None,
    content: Content,
    *,
    headers: Mapping[str, str] | None = None,
    length: int | None = None,
) -> None:
    """Put a file to where the service said, without ever having all of it in memory.

    Args:
        content: After a failure it is sent again, but not if it is an iterator, which gives its pieces only once.
        headers: Those that came with the URL.
        length: How many bytes there are; only pieces need to be told.

    Raises:
        ValueError: There is nothing to upload, its length is missing, or it turns out to be another.
    """
    if isinstance(content, (Iterator, AsyncIterator)):
        pipeline = pipeline.view(pipeline.settings.changed(max_retries=0))
    with _opened(content, length) as (begin, size):
        if size < 1:
            raise ValueError("there is nothing to upload")
        given = {name: value for name, value in (headers or {}).items() if name.lower() not in _OURS}
        given["Content-Length"] = str(size)
        await _run(pipeline, "PUT", url, given, lambda request: replace(request, pieces=begin()))


@contextmanager
def _replacing(target: Path) -> Generator[BinaryIO]:
    """A file that becomes `target` at the end, and of which nothing is left if there is an error."""
    part = target.with_name(f".{target.name}.{token_hex(4)}.part")
    try:
        # opened here and not in a thread: no cancellation can come in between and leave it behind
        with part.open("xb") as file:
            yield file
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


async def _fetch(
    pipeline: Pipeline,
    url: Secret | None,
    most: int,
    into: Callable[[bytes], Awaitable[None]],
    drop: Callable[[], object],
) -> None:
    taken = HandedOn(into)

    def begin(request: Request) -> Request:
        nonlocal taken
        drop()  # what an attempt before has brought
        taken = HandedOn(into)
        return replace(request, max_bytes=most, into=taken)

    def whole(response: Response) -> None:
        if response.status != 200:  # nothing, a part, or the promise of a file
            raise Unreadable("this is not the whole file, which comes with a 200")
        length = response.headers.get("content-length", "")
        if length.isdecimal() and not response.headers.get("content-encoding") and int(length) != taken.size:
            raise Unreadable(f"{taken.size} of {length} bytes came", passing=True)

    await _run(pipeline, "GET", url, {"Accept-Encoding": "gzip"}, begin, whole)


async def _run(
    pipeline: Pipeline,
    method: str,
    url: Secret | None,
    headers: Mapping[str, str],
    begin: Callable[[Request], Request],
    check: Callable[[Response], None] = lambda response: None,
) -> None:
    """Call a presigned URL as often as it takes; `begin` completes the request of each attempt.

    Args:
        check: Raises `Unreadable` where a 2xx status does not bring the whole file.
    """
    place, secrets = _checked(pipeline, method, url, headers)
    headers = {"User-Agent": f"m3ter-async/{__version__}", **headers}
    request = Request(method, url or "", headers, timeout=pipeline.settings.timeout)
    operation: Operation[Any] = Operation(PRESIGNED, method, place, None, repeat="read" if method == "GET" else "safe")
    call = Call(operation, place, organization=pipeline.settings.org_id, bare=lambda: begin(request), secrets=secrets)
    await pipeline.run(call, check)


def _checked(
    pipeline: Pipeline, method: str, url: Secret | None, headers: Mapping[str, str]
) -> tuple[str, tuple[Secret, ...]]:
    """What of a URL may be seen and what not, if it and the headers can be used as the service has made them."""
    place = (url or "").partition("?")[0][:500]
    host = _host(url or "")
    if not host:
        reason = "this is no URL to call" if url else "the service gave no URL"
        raise APIResponseValidationError(reason, method=method, path=place)
    if not place.lower().startswith("https:") and not pipeline.settings.allow_insecure and not loopback(host):
        raise ConfigurationError(
            f"{place} would be called in the clear, and who sees a presigned URL can call it too: "
            "pass allow_insecure_http=True if that is meant"
        )
    for name, value in headers.items():
        if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            raise APIResponseValidationError("a header of this upload cannot be sent", method=method, path=place)
    return place, _secrets(url or "")


def _host(url: str) -> str:
    """The host of a URL that can be called, else nothing."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "") if _URL.fullmatch(url) and parts.port != 0 else ""
    except ValueError:
        return ""


def _secrets(url: str) -> tuple[Secret, ...]:
    values = (unquote(part.partition("=")[2]) for part in url.partition("?")[2].split("&"))
    return tuple(Secret(value) for value in values if len(value) > _PUBLIC)


@contextmanager
def _opened(content: Content, length: int | None) -> Generator[tuple[Callable[[], AsyncIterable[bytes]], int]]:
    """What gives the content from its beginning, and how many bytes there are."""
    if isinstance(content, (str, os.PathLike)):
        with open(content, "rb") as file:

            def read() -> _Pieces:
                file.seek(0)
                return _Pieces(lambda: to_thread.run_sync(file.read, _PIECE))

            yield read, os.fstat(file.fileno()).st_size
        return
    if isinstance(content, bytes):
        content, length = [content], len(content)
    if length is None:
        raise ValueError("length= is needed to upload what comes in pieces")
    if isinstance(content, AsyncIterable):
        yield content.__aiter__, length
    else:
        pieces = content

        def each() -> _Pieces:
            iterator = filter(None, pieces)

            async def pull() -> bytes:
                return next(iterator, b"")

            return _Pieces(pull)

        yield each, length


class _Pieces(AsyncIterator[bytes]):
    """What `pull` gives until that is nothing. A generator left halfway would have trio complain."""

    def __init__(self, pull: Callable[[], Awaitable[bytes]]) -> None:
        self._pull = pull

    async def __anext__(self) -> bytes:
        piece = await self._pull()
        if not piece:
            raise StopAsyncIteration
        return piece
