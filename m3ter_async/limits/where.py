"""A limiter named by a text, as an environment variable or a command line has it."""

from __future__ import annotations

import re
import threading

from .._core.rate_limits import Limiter
from .._core.redaction import Secret
from ..errors import ConfigurationError
from .host import HostLimiter
from .redis import RedisLimiter
from .share import ShareLimiter

_opened: dict[tuple[str, float], Limiter] = {}
_lock = threading.Lock()


def limiter_at(where: str, *, rate: float = 50.0) -> Limiter:
    """The limiter that a text names; the same for the same text within a process.

    ``M3TER_LIMITER`` and ``m3ter-async export --limiter`` take such a text.

    Args:
        where: The path of a file (`HostLimiter`), a URL such as ``redis://cache:6379/0`` (`RedisLimiter`), or a share
            such as ``1/8`` (`ShareLimiter`).
        rate: Requests per second and organization on the configuration and ingest APIs.

    Raises:
        ConfigurationError: The text names none, or that one cannot be used.
    """
    text = Secret(where)  # a URL may hold a password, and a traceback may show local variables
    with _lock:
        found = _opened.get((text, rate))
        if found is None:
            found = _opened[text, rate] = _made(text, rate)
        return found


def _made(text: Secret, rate: float) -> Limiter:
    if share := re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII):
        return ShareLimiter(int(share[1]), int(share[2]), rate=rate)
    if re.match(r"(rediss?|unix)://", text):
        return RedisLimiter(text, rate=rate)
    if not text or "://" in text:
        raise ConfigurationError(
            "a limiter is the path of a file, a URL that begins with redis://, rediss:// or unix://, or a share (1/8)"
        )
    return HostLimiter(str(text), rate=rate)
