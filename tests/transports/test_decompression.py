"""Decompression by zlib and by ISA-L, where that is installed: the same bodies, bounds and refusals."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3ter_async import TransportError
from m3ter_async.transports import AiohttpTransport, decompression

from ..wire import Wire, failure, faults, squeezed
from .test_transports import bomb

BODY = b'{"data":[%b]}' % b",".join(b'{"id":"%d"}' % number for number in range(5_000))
RESERVED = 0xE0  # bits of the flags in a gzip header


@pytest.fixture(autouse=True, params=["zlib", "isal.isal_zlib"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    used = pytest.importorskip(request.param)
    monkeypatch.setattr(decompression, "library", used)
    return used


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def read(packed: bytes, *, step: int = 1 << 16, most: int = 10**8, encoding: str = "gzip") -> bytes:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(packed), step):
            yield packed[start : start + step]

    return await decompression.read(pieces(), encoding, most)


async def outcome(packed: bytes, step: int, most: int) -> bytes | None:
    try:
        return await read(packed, step=step, most=most)
    except TransportError:
        return None


def members(*bodies: bytes) -> bytes:
    return b"".join(map(gzip.compress, bodies))


WHOLE = {
    "gzip": (gzip.compress(BODY), BODY),
    "deflate": (zlib.compress(BODY), BODY),
    "stored": (gzip.compress(BODY, 0), BODY),
    "nothing": (gzip.compress(b""), b""),
    "no byte at all": (b"", b""),
    "several members": (members(BODY, b"", BODY), BODY * 2),
    "a thousand to one": (gzip.compress(bytes(3 * 2**20)), bytes(3 * 2**20)),
}


@pytest.mark.parametrize("step", [1, 3, 1 << 20])
@pytest.mark.parametrize("name", WHOLE)
async def test_a_whole_body_is_read_however_its_bytes_come(name: str, step: int) -> None:
    packed, body = WHOLE[name]
    assert await read(packed, step=step) == body


BROKEN = {
    "cut": gzip.compress(BODY)[:-9],
    "without its check sum": gzip.compress(BODY)[:-8],
    "without the end of its length": gzip.compress(BODY)[:-1],
    "deflate without its check sum": zlib.compress(BODY)[:-4],
    "cut in its header": gzip.compress(BODY)[:5],
    "a wrong check sum": gzip.compress(BODY)[:-8] + bytes(8),
    "a wrong length": gzip.compress(BODY)[:-1] + b"\x01",
    "a wrong check sum of deflate": zlib.compress(BODY)[:-4] + bytes(4),
    "a second member cut": members(BODY, BODY)[:-3],
    "a byte behind it": gzip.compress(BODY) + b"\0",
    "text behind it": gzip.compress(BODY) + b"{}",
    "plain": BODY,
    "raw deflate": zlib.compress(BODY)[2:-4],
}


@pytest.mark.parametrize("step", [1, 3, 1 << 20])
@pytest.mark.parametrize("name", BROKEN)
async def test_a_body_that_is_not_whole_gzip_is_refused(name: str, step: int) -> None:
    with pytest.raises(TransportError, match="gzip"):
        await read(BROKEN[name], step=step)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb_takes_the_memory_of_what_is_allowed(encoding: str) -> None:
    packed = bomb(encoding, 300)
    tracemalloc.start()
    try:
        with pytest.raises(TransportError) as raised:
            await read(packed, most=4_000_000, encoding=encoding)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert raised.value.too_large
    assert peak < 12_000_000


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1])
async def test_the_bound_is_exact(size: int) -> None:
    packed = gzip.compress(bytes(size))
    assert await read(packed, most=size) == bytes(size)
    if size:
        with pytest.raises(TransportError) as raised:
            await read(packed, most=size - 1)
        assert raised.value.too_large


@given(
    bodies=st.lists(st.binary(max_size=400) | st.just(b"abc" * 900), min_size=1, max_size=3),
    level=st.integers(0, 9),
    zlib_format=st.booleans(),
    spoilt=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=2),
    cut=st.none() | st.integers(0, 3000),
    tail=st.binary(max_size=3),
    step=st.sampled_from([1, 7, 100, 100_000]),
    most=st.sampled_from([0, 100, 100_000]),
)
async def test_whatever_comes_has_the_outcome_that_zlib_has(
    library: Any,
    bodies: list[bytes],
    level: int,
    zlib_format: bool,
    spoilt: list[tuple[int, int]],
    cut: int | None,
    tail: bytes,
    step: int,
    most: int,
) -> None:
    """But for flags in a header that mean nothing yet: ISA-L passes over them, and still checks the body."""
    packed = bytearray(zlib.compress(bodies[0], level) if zlib_format else b"")
    for body in () if zlib_format else bodies:
        packed += gzip.compress(body, level)
    for place, byte in spoilt:
        if place < len(packed):
            packed[place] = byte
    data = bytes(packed[:cut]) + tail
    seen = await outcome(data, step, most)
    decompression.library = zlib
    try:
        expected = await outcome(data, step, most)
    finally:
        decompression.library = library
    assert seen == expected or (expected is None and seen is not None and _has_reserved_flags(data))


def _has_reserved_flags(data: bytes) -> bool:
    starts = [place for place in range(len(data) - 3) if data[place : place + 3] == b"\x1f\x8b\x08"]
    return any(data[place + 3] & RESERVED for place in starts)


@pytest.mark.parametrize("fault", ["broken gzip", "gzip cut", "plain called gzip"])
async def test_over_the_wire_broken_gzip_is_no_answer(fault: str) -> None:
    transport = AiohttpTransport()
    try:
        with Wire([faults({"id": "a"})[fault], squeezed(BODY, "gzip")]) as wire:
            error = await failure(transport, wire.request())
            assert error.sent
            assert (await transport.send(wire.request())).content == BODY
    finally:
        await transport.aclose()


def test_the_quicker_library_is_found_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("isal")
    assert decompression.fastest() is import_module("isal.isal_zlib")
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    assert decompression.fastest() is zlib
