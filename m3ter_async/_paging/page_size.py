"""How many records a page is asked for: fewer after a page that was too much, and step by step more again."""

from __future__ import annotations

_PATIENCE = 4  # pages that come well before a size is tried again that was too much
_MOST_PATIENCE = 64


class PageSize:
    """The size of the pages of one listing.

    Args:
        most: The largest page to ask for; None where nobody knows, and then nothing is ever changed.

    Attributes:
        now: How many records to ask for.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self.now = most
        self._too_much: int | None = None  # the smallest size that failed since a larger one came well
        self._patience = _PATIENCE
        self._well = 0
        self._pinned = False

    @property
    def can_shrink(self) -> bool:
        """Whether fewer records may be asked for."""
        return self.now is not None and self.now > 1 and not self._pinned

    def shrink(self) -> bool:
        """Ask for half as many from now on; False if that cannot be."""
        if self.now is None or not self.can_shrink:
            return False
        if self._too_much is not None and self.now >= self._too_much:
            self._patience = min(2 * self._patience, _MOST_PATIENCE)  # tried again, and still too much
        self._too_much, self.now, self._well = self.now, self.now // 2, 0
        return True

    def pin(self, size: int | None) -> None:
        """Ask for this many from now on, whatever comes of it."""
        self.now, self._pinned = size, True

    def came_well(self) -> None:
        """Note a page that came; after some of them, twice as many records are asked for."""
        if self.now is None or self._most is None or self._pinned:
            return
        if self._too_much is not None and self.now >= self._too_much:
            self._too_much = None  # it was an outage, or heavy records that are behind now
        if self.now >= self._most:
            return
        self._well += 1
        wanted = min(2 * self.now, self._most)
        tried = self._too_much is not None and wanted >= self._too_much
        if self._well >= (self._patience if tried else 1):
            self.now, self._well = wanted, 0
