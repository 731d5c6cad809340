"""An export in a process of its own, which a test can kill: at any moment, or at a step that it names."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import anyio
import pytest

from m3ter_async import AsyncM3ter
from m3ter_async._tabular.pyarrow_import import pa
from m3ter_async.export import ExportError, ExportProgress, export
from m3ter_async.export.run import parts
from m3ter_async.transports.protocol import Request, Response

from ..fakes import answer
from .support import MANIFEST, Form, Shelf, bill

INTERRUPTED = 130


@dataclass(frozen=True)
class Job:
    """What to export, and how to die.

    Attributes:
        out: The folder; an export that is in it is gone on with.
        form: The format.
        client: How to reach a sandbox; without, a small service in the process itself is read.
        options: Of the export.
        backend: The event loop.
        die_at: The step that the process is killed in: one of all synced writes and renames, counted from 0.
        limit: The largest size of a file; None is any.
        odd: Whether some rows come twice, some fit no column, and some parents fail.
    """

    out: Path
    form: Form
    client: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=lambda: {})
    backend: str = "asyncio"
    die_at: int | None = None
    limit: int | None = None
    odd: bool = False


def processes() -> ForkServerContext:
    """Starts processes for which the interpreter and what it imports are there already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"{__package__}.warm"])
    return context


def start(job: Job) -> BaseProcess:
    """Run a job, which has begun when this returns."""
    context = processes()
    begun, begins = context.Pipe(duplex=False)
    process = context.Process(target=_main, args=(job, begins))
    process.start()
    begins.close()
    begun.recv()
    begun.close()
    return process


def run(job: Job) -> int | None:
    """Run a job to its end, and give its exit status."""
    process = start(job)
    process.join(60)
    code = process.exitcode
    process.close()
    return code


def shelf() -> Shelf:
    """40 bills on 40 days; one of them is large."""
    large = random.Random(5).randbytes(30_000).hex()
    days = [f"2024-{1 + number // 10:02d}-{1 + number % 10:02d}" for number in range(40)]
    rows = [bill(number, day, accountCode=large if number == 31 else "x" * 300) for number, day in enumerate(days)]
    return Shelf({"bills": rows[::-1]}, size=4)


class _Odd(Shelf):
    def __call__(self, request: Request) -> Response:
        for parent, status in (("b2", 404), ("b5", 403), ("b7", 500)):
            if f"/balances/{parent}/" in request.url:
                return answer({"message": "no"}, status)
        return super().__call__(request)


def odd_shelf() -> Shelf:
    """Transactions of ten balances, of which some come twice, some fit no column, and some cannot be had."""
    lists: dict[str, Any] = {"balances": [{"id": f"b{number}"} for number in range(10)]}
    for number in range(10):
        rows = [{"id": f"t{number}-{n}", "amount": n, "description": "d" * 250} for n in range(12)]
        rows[3]["amount"] = "NaN"
        lists[f"balances/b{number}/transactions"] = [*rows[:8], {**rows[5], "amount": 77}, *rows[8:]]
    return _Odd(lists, size=4)


def read(job: Job, on_progress: Callable[[ExportProgress], None] | None = None) -> Any:
    """The export of a job in this process, begun or gone on with."""
    return partial(_export, job, on_progress)


def has_begun(out: Path) -> bool:
    """Whether there is an export to go on with: one that was stopped before its first line has not begun."""
    manifest = out / MANIFEST
    return manifest.is_file() and b"\n" in manifest.read_bytes()


async def _export(job: Job, on_progress: Callable[[ExportProgress], None] | None) -> Any:
    resume = has_begun(job.out)
    async with _client(job) as m3ter:
        options = {**job.form.options, **job.options}
        resources = options.pop("resources", ["bills"])
        options = {} if resume else options
        return await export(m3ter, resources, job.out, resume=resume, concurrency=3, on_progress=on_progress, **options)


def _client(job: Job) -> AsyncM3ter:
    if job.client is None:
        return odd_shelf().client(max_retries=0) if job.odd else shelf().client()
    if job.backend == "asyncio":
        return AsyncM3ter(**job.client, rate_limit=None)
    import httpx

    from m3ter_async import HttpxTransport

    # loading certificates would take longer than all the rest, and there is no TLS here
    return AsyncM3ter(**job.client, rate_limit=None, transport=HttpxTransport(httpx.AsyncClient(verify=False)))


def small_parts(patch: pytest.MonkeyPatch) -> None:
    """Have parts that are finished after a few pages."""
    patch.setattr(parts, "_FULL", 5_000)
    patch.setattr(parts, "_BATCH", 2_000)


def _main(job: Job, begins: Connection) -> None:
    pa.set_cpu_count(1)
    small_parts(pytest.MonkeyPatch())
    if job.die_at is not None:
        _die_at(job.die_at)
    if job.limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.limit, resource.RLIM_INFINITY))
    try:
        begins.send(None)
        begins.close()
        anyio.run(read(job), backend=job.backend)
    except BaseException as error:
        if _interrupted(error):
            sys.exit(INTERRUPTED)
        if not isinstance(error, (ExportError, ValueError)):
            raise
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        (job.out.parent / "error.json").write_text(json.dumps(str(error)))
        sys.exit(1)


def _interrupted(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_interrupted, error.exceptions))
    return isinstance(error, KeyboardInterrupt)


def _die_at(step: int) -> None:
    """Be killed in a step: before it, after it or, where something is written, in the middle of it."""
    count = -1

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == step:
                if function is write and len(args[1]) > 1:
                    write(args[0], args[1][: len(args[1]) // 2])
                elif step % 2:
                    function(*args, **kwargs)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    write = os.write
    os.fsync, os.replace, os.write = counted(os.fsync), counted(os.replace), counted(write)
