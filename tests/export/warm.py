"""Imported before there are processes to kill: it loads what an export loads on its way."""

from __future__ import annotations

import asyncio
import warnings

import anyio
import trio

from m3ter_async import AiohttpTransport, HttpxTransport

from .job import shelf
from .support import FORMS, written

# Jobs are forked from here although pyarrow has a thread: none of them waits for it.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

LOADED = (AiohttpTransport, HttpxTransport, asyncio, trio)


async def _list() -> None:
    await shelf().client().bills.list().collect()


for _form in FORMS.values():
    with written([b'{"id":"b1","billTotal":1.5,"dtCreated":"2024-01-01T00:00:00Z","billDate":"2024-01-01"}'], _form):
        pass
anyio.run(_list)
