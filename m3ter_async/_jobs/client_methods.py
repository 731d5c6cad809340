"""What the client does beyond single calls, whatever the resource: fan-out, and files behind presigned URLs."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from .._core.identity import secret

if TYPE_CHECKING:
    from .._core.pipeline import Pipeline
    from .fan_out import FanOut
    from .presigned_urls import Content

T = TypeVar("T")
R = TypeVar("R")


class Toolbox:
    """Methods of the client; each loads what it needs when it is called."""

    _pipeline: Pipeline

    @overload
    def map(
        self,
        items: Iterable[T] | AsyncIterable[T],
        fetch: Callable[[T], Awaitable[R]],
        *,
        concurrency: int = 50,
        ordered: bool = True,
        errors: Literal["raise"] = "raise",
    ) -> FanOut[T, R]: ...

    @overload
    def map(
        self,
        items: Iterable[T] | AsyncIterable[T],
        fetch: Callable[[T], Awaitable[R]],
        *,
        concurrency: int = 50,
        ordered: bool = True,
        errors: Literal["collect"],
    ) -> FanOut[T, R | Exception]: ...

    def map(
        self,
        items: Iterable[T] | AsyncIterable[T],
        fetch: Callable[[T], Awaitable[R]],
        *,
        concurrency: int = 50,
        ordered: bool = True,
        errors: Literal["raise", "collect"] = "raise",
    ) -> FanOut[T, Any]:
        """Call `fetch` for each item, many at once: ``async for account, bills in m3ter.map(accounts, bills_of)``.

        Leaving the loop, in whatever way, stops what is under way.

        Args:
            items: Any iterable or async iterable, such as a listing; no more than `concurrency` are drawn ahead.
            fetch: An async function of one item.
            concurrency: The most items in work, or done and not yet handed out.
            ordered: Whether results come in the order of the items, or as they are done.
            errors: With ``raise`` the first exception of `fetch` stops all others; it is raised as it is, once what was
                done before has been handed out. With ``collect`` exceptions are handed out in place of results.
        """
        from .fan_out import fan_out

        return fan_out(self._pipeline, items, fetch, concurrency=concurrency, ordered=ordered, errors=errors)

    async def download(self, url: str | None) -> bytes:
        """Fetch what a presigned URL of the service gives, without the access token; at most `max_response_bytes`.

        ``GET`` the URL. It is repeated like any read; errors name its host and path, never its query.
        """
        from .presigned_urls import download

        url = secret(url)  # as with key and secret: a traceback may show local variables
        return await download(self._pipeline, url)

    async def download_to(self, url: str | None, path: str | PathLike[str]) -> None:
        """As `download`, to a file and of any size; `path` appears, or is replaced, once the whole of it is there.

        Here `timeout` is for silence, not for the whole. What the file system raises comes as ``OSError``.
        """
        from .presigned_urls import download_to

        url = secret(url)
        await download_to(self._pipeline, url, path)

    async def upload(
        self, url: str | None, content: Content, *, headers: Mapping[str, str] | None = None, length: int | None = None
    ) -> None:
        """Put a file to a presigned URL of the service, piece by piece and without the access token.

        ``PUT`` the URL. It is repeated like any call that may be, but not if `content` is an iterator, which gives its
        pieces only once. Here `timeout` is for silence, not for the whole.

        Args:
            url: What `generate_upload_url` and its like answered.
            content: The path of a file, bytes, or an (async) iterable of bytes.
            headers: Those that came with the URL.
            length: How many bytes there are; an iterable needs it.
        """
        from .presigned_urls import upload

        url = secret(url)
        await upload(self._pipeline, url, content, headers=headers, length=length)
