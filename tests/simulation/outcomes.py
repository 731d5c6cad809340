"""What a caller is told, held against what the service did."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from m3ter_async import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    M3terError,
    RateLimitError,
)
from m3ter_async._core.background import TaskAbandoned

from .invariants import EPSILON
from .ledger import Action, Exchange

if TYPE_CHECKING:
    from .world import World

# A repeat may be given up where so many seconds are left: the longest back-off, and one that was asked for.
_TOO_SHORT = 40.0
_LONGEST_BACK_OFF = 8.0
_FINAL = (400, 403, 404, 409, 413, 422)


class ProgramError(Exception):
    """What the program's own functions raise; it must come through as it is."""


def ended(world: World, action: Action, value: Any, error: BaseException | None, *, cancelled: bool) -> None:
    """Judge how an action ended.

    Args:
        cancelled: Whether the program's own scope around it ended it.
    """
    action.ended = world.now
    world.log("ends", action, "cancelled" if cancelled else "done" if error is None else error)
    returns_in_time(world, action)
    if cancelled:
        return
    if error is not None:
        documented_exceptions_alone(world, action, error)
    if action.kind == "call":
        if error is None or isinstance(error, APIError):
            outcome_is_told_truly(world, action, value, error)
        if isinstance(error, APIError):
            tries_go_on_while_there_is_time(world, action, error)


def returns_in_time(world: World, action: Action) -> None:
    late = world.now - action.deadline
    if late > EPSILON:
        world.fail("no call returns later than its deadline", f"{action} ended {late:.3f} s late")


def documented_exceptions_alone(world: World, action: Action, error: BaseException) -> None:
    if isinstance(error, (TaskAbandoned, BaseExceptionGroup)) or not isinstance(error, (M3terError, ProgramError)):
        world.fail("nothing but a documented exception comes out", f"{action} ended in {type(error).__name__}: {error}")


def outcome_is_told_truly(world: World, action: Action, value: Any, error: APIError | None) -> None:
    rule = "what is told of an outcome is true"
    last = action.last
    began = [each for each in action.exchanges if each.began is not None]
    if error is None:
        if action.writes:
            world.claims.append((action, "done"))
        if last is None:
            world.fail(rule, f"{action} succeeded without a request")
        return
    if "client is closed" in error.reason and world.closing_at is None:
        world.fail("an open client does not say that it is closed", f"{action}: {error}")
    if action.writes and not error.outcome_unknown:
        world.claims.append((action, "not done"))
    if error.outcome_unknown and not action.writes:
        world.fail(rule, f"{action} changes nothing, and its outcome is said to be unknown: {error}")
    elif error.outcome_unknown and not began:
        world.fail(rule, f"nothing had left of {action}, and its outcome is said to be unknown: {error}")
    login = error.path == "/oauth/token"
    if login and world.watch.good_token() and last is not None and last.status != 401:
        world.fail("a good token is kept", f"{action} failed with its login, while its token was good: {error}")
    looked = last is not None and action.writes and last.request.method == "GET"  # what became of the write
    if last is not None and last.over is not None and not looked:
        if last.status in _FINAL and not _explained(action, last.status) and error.status != last.status:
            world.fail("a status that was answered is told", f"{action} was answered {last.status}, and told {error}")
        elif last.status == 200 and last.whole:
            world.fail("a status that was answered is told", f"{action} was answered 200, and told {error}")
    _own_first_try_is_found(world, action, error)
    known = action.statuses() | (world.watch.login_statuses if login else set())
    held = error.status == 429 and world.watch.paused_for(action.org) >= 0 and 429 in world.statuses(action.org)
    if error.status is not None and error.status not in known and not held:
        world.fail("a status that was answered is told", f"{action} was told {error}, but answered {sorted(known)}")
    if isinstance(error, RateLimitError) and error.retry_after is not None:
        asked = max(world.watch.asked) + (_LONGEST_BACK_OFF if login else 0.0)  # the login is not made before that
        if error.retry_after > asked + 1.0 + EPSILON:
            world.fail("a Retry-After is measured by the answer's own clock", f"{action}: {error.retry_after:.0f} s")


def _own_first_try_is_found(world: World, action: Action, error: APIError) -> None:
    last = action.last
    if error.status != 409 or last is None or not action.writes or world.closing_at is not None:
        return
    mine = any(entity.name == action.name for entity in world.service.entities.values())
    looked = last.status == 200 and last.whole
    left = min(action.effective_deadline, action.begun + action.patience) - world.now
    if mine and (looked or (last.status == 409 and left > _TOO_SHORT + world.watch.paused_for(action.org))):
        world.fail("a repeat that finds its own first try says so", f"{action} took effect, and was told {error}")


def _explained(action: Action, status: int) -> bool:
    """Whether a repeat may have found what the first try did."""
    doubted = any(
        each.began is not None and each.status in (None, 500, 502, 503, 504) for each in action.exchanges[:-1]
    )
    return action.writes and doubted and status in (404, 409)


def tries_go_on_while_there_is_time(world: World, action: Action, error: APIError) -> None:
    last = action.last
    if last is None or world.closing_at is not None or error.path == "/oauth/token" or not action.retries:
        return
    left = min(action.effective_deadline, action.begun + action.patience) - world.now
    if left <= _TOO_SHORT + world.watch.paused_for(action.org) or math.isinf(left):
        return
    refused = isinstance(error, APIConnectionError) and not isinstance(error, APITimeoutError)
    certain = last.status == 429 or (last.began is None and refused)
    if certain and error.status in (429, None):
        world.fail(
            "certain refusals cost time and not tries", f"{action} gave up with {left:.0f} s of its time left: {error}"
        )
    elif not action.writes and passing(error) and error.status != 429:
        tried = sum(not (each.status == 429 or _refused(each)) for each in action.exchanges)
        if tried <= action.retries:
            counted = len(action.exchanges) > action.retries
            rule = "certain refusals cost time and not tries" if counted else "the shared budget ends no work"
            world.fail(rule, f"{action} gave up after {tried} tries of {action.retries + 1}: {error}")


def _refused(exchange: Exchange) -> bool:
    """Whether no connection was had, and that was told at once: silence while connecting counts as a try."""
    over = exchange.at if exchange.over is None else exchange.over
    return exchange.began is None and over - exchange.at < 0.05


def passing(error: BaseException | None) -> bool:
    """Whether a failure speaks of the moment, and not of the call."""
    if isinstance(error, APIStatusError):
        return error.status is not None and (error.status >= 500 or error.status == 429)
    return isinstance(error, APIConnectionError)


def claims_hold(world: World) -> None:
    """Once everything that was under way has arrived: what was told of writes is what the service did."""
    applied = world.service.applied
    for action, claim in world.claims:
        times = applied[action.name]
        if claim == "not done" and times:
            world.fail("what is told of an outcome is true", f"{action} was told as not done, and took effect")
        if claim == "done" and not times:
            world.fail("what is told of an outcome is true", f"{action} was told as done, and took no effect")
    for name, times in applied.items():
        if times > 1 and not name.startswith("again"):
            world.fail("no write is applied twice", f"{name} was applied {times} times")
