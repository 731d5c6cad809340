"""Iterables that are handed in: what is a generator is closed after use, however that ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def drawn(rows: Iterable[T]) -> Generator[Iterator[T]]:
    """Iterate over `rows`, and close the generator that does."""
    iterator = iter(rows)
    try:
        yield iterator
    finally:
        if isinstance(iterator, Generator):
            iterator.close()


@asynccontextmanager
async def drawn_async(rows: AsyncIterable[T]) -> AsyncGenerator[AsyncIterator[T]]:
    """Iterate over `rows`, and close the generator that does: by the task that drew from it."""
    iterator = aiter(rows)
    try:
        yield iterator
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


async def close(rows: object) -> None:
    """Close a generator that nobody will draw from."""
    if isinstance(rows, Generator):
        rows.close()
    elif isinstance(rows, AsyncGenerator):
        await rows.aclose()
