"""Waiting for the service's jobs: looks at growing intervals, until an end or until the time is up."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import isawaitable
from typing import Any, TypeVar

import anyio

from .._core.operation import Operation
from .._core.outcomes import passes
from .._core.pipeline import Pipeline
from ..errors import APIError, JobCancelledError, JobError, JobFailedError, JobTimeoutError

T = TypeVar("T")

_FIRST = 1.0  # seconds between the first two looks; doubled from each to the next
_LONGEST = 30.0
_JITTER = 0.2  # so that those who began together do not look together for ever
_LAST_LOOK = 5.0  # seconds that the look at the end of the time may take

_DONE = {"COMPLETE", "SUCCEEDED"}
_GOES_ON = {"PENDING", "INITIALIZING", "RUNNING", "NOTUPLOADED"}
_ENDS: dict[str, type[JobError]] = {"FAILED": JobFailedError, "CANCELLED": JobCancelledError}


async def wait(
    pipeline: Pipeline,
    operation: Operation[T],
    path: Mapping[str, str],
    name: str,
    status: str,
    timeout: float,
    on_progress: Callable[[T], object] | None,
) -> T:
    """Look at a job until it is done, and return it as it is then.

    Args:
        operation: Reads the job.
        path: Its arguments.
        name: What it is called in errors, such as ``bill job 1``.
        status: Its attribute that says how far it is.
        timeout: Seconds; 0 looks once.
        on_progress: Gets the job at each look, the last one too; what it returns is awaited if it can be.

    Raises:
        JobFailedError: It failed.
        JobCancelledError: It was cancelled.
        JobError: It is in a state that is not known to go on, such as one that the service has added.
        JobTimeoutError: The time was up before.
    """
    check_timeout(timeout)
    clock = pipeline.clock
    began, interval = clock.now(), _FIRST
    left = timeout
    job: T | None = None
    while True:
        found = await _look(pipeline, operation, path, left if left > 0 else _LAST_LOOK)
        seen, trouble, over = found  # not in one line, or it would be read as an operation that may answer nothing
        if seen is not None:
            job = seen
            if on_progress is not None and isawaitable(said := on_progress(seen)):
                await said
            state = _state(seen, status)
            if state in _DONE:
                return seen
            if state not in _GOES_ON:
                kind = _ENDS.get(state, JobError)
                raise kind(f"{name} is {state or 'in no state'}{_why(seen)}", seen)
        # a look that a bound of single calls ended before its time is followed by others
        if left <= 0 or over:
            reason = f"{name} is {_state(job, status) or 'not seen'} after {timeout:g} s"
            raise JobTimeoutError(f"{reason}; the last look failed: {trouble}" if trouble else reason, job) from trouble
        left = timeout - (clock.now() - began)
        pause = interval * (1 - _JITTER * clock.random())
        if left > 0:
            await clock.sleep(min(left, pause))
        interval = min(_LONGEST, interval * 2)
        left = timeout - (clock.now() - began) if pause < left else 0.0


async def _look(
    pipeline: Pipeline, operation: Operation[T], path: Mapping[str, str], seconds: float
) -> tuple[T | None, APIError | None, bool]:
    """The job as it is; or None where there was no answer in time, what went wrong last, and if all the time is over.

    A job outlasts outages of the service, so a look is repeated as long as there is time.
    """
    policy = replace(pipeline.settings.policy, longest=_LONGEST, total=seconds)
    patient = pipeline.view(replace(pipeline.settings, policy=policy, patient=True))
    scope = anyio.CancelScope(deadline=anyio.current_time() + seconds)
    try:
        with scope:
            return await patient.call(operation, path, {}), None, False
    except APIError as error:
        # without a status, or with one that passes, the time was up before it had passed
        over = scope.deadline <= anyio.current_time()
        if not (error.out_of_time or (over and passes(error))):
            raise
        return None, error, over
    return None, None, True


def check_timeout(timeout: float) -> None:
    """Raise unless `timeout` can be waited for; infinity can."""
    if not timeout >= 0:
        raise ValueError(f"timeout must be 0 or more seconds, not {timeout!r}")


def patient(pipeline: Pipeline, seconds: float) -> Pipeline:
    """A view that tries again for so many seconds what was refused for certain, such as one bill job too many."""
    if not 0 <= seconds < math.inf:
        raise ValueError(f"wait_for_slot must be a number of seconds from 0, not {seconds!r}")
    policy = replace(pipeline.settings.policy, max_retries=sys.maxsize, longest=_LONGEST, total=float(seconds))
    return pipeline.view(replace(pipeline.settings, policy=policy))


def _state(job: Any, status: str) -> str:
    """What a job says of itself; uploads say it in another case than all others."""
    return str(getattr(job, status, None) or "").upper()


def _why(job: Any) -> str:
    reason = getattr(job, "failure_reason", None)
    return f": {reason}" if reason else ""
