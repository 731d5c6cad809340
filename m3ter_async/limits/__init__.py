"""The service's rate limits, kept by one client, one host, many hosts, or a fixed share of them.

::

    from m3ter_async.limits import HostLimiter

    m3ter = AsyncM3ter(limiter=HostLimiter("/run/m3ter.limit"))

The service counts what all callers of an organization send, and what comes from one address. So whoever works with
several processes lets them share one limiter. A pause after a 429 then holds for all of them.
"""

from __future__ import annotations

from .._core.local_limits import LocalLimiter
from .._core.rate_limits import Limiter, RateLimit
from .host import HostLimiter
from .redis import RedisLimiter
from .share import ShareLimiter
from .where import limiter_at

__all__ = ["HostLimiter", "Limiter", "LocalLimiter", "RateLimit", "RedisLimiter", "ShareLimiter", "limiter_at"]

for _public in (HostLimiter, Limiter, LocalLimiter, RateLimit, RedisLimiter, ShareLimiter, limiter_at):
    _public.__module__ = __name__  # users import it from here, wherever it stands
