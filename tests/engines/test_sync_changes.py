"""Ten thousand changes by a second client, between syncs and during them, with kills and failures in between."""

from __future__ import annotations

import pytest

from tests.sync.__main__ import worlds

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # the tests of the room run on both
async def test_after_ten_thousand_changes_nothing_is_missing_left_over_or_old() -> None:
    assert await worlds(first=1_000, changes=10_000) == 0
