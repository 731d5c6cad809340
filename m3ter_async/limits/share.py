"""A fixed share of the limits, for those who know how many they are and have nothing in common."""

from __future__ import annotations

from .._core.local_limits import LocalLimiter
from ..errors import ConfigurationError


class ShareLimiter(LocalLimiter):
    """A share of the limits that never changes: ``ShareLimiter(1, 8)`` in each of eight processes.

    It needs nothing that the processes have in common, and wastes what one of them leaves unused.

    Args:
        part: How many shares this process has.
        of: How many shares there are.
        rate: What the service allows all of them together, in requests per second and organization.

    Raises:
        ConfigurationError: These are not whole numbers with ``1 <= part <= of``, or `rate` is not above 0.
    """

    def __init__(self, part: int, of: int, *, rate: float = 50.0) -> None:
        if not (_is_whole(part) and _is_whole(of) and 1 <= part <= of):
            raise ConfigurationError(f"a share is part of a whole, such as 1 of 8, and not {part!r} of {of!r}")
        super().__init__(rate, _share=part / of)
        self.part: int = part
        self.of: int = of

    def __repr__(self) -> str:
        return f"ShareLimiter({self.part}, {self.of})"


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
