"""Which part of the contract is printed."""

from __future__ import annotations

# None prints all of it.
TAGS: tuple[str, ...] | None = None
