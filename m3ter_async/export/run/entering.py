"""The last step of the parts of one worker: published and entered in order, while the worker reads on."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

import anyio

from .blocking import in_thread
from .desks import Part
from .parts import enter

if TYPE_CHECKING:
    from .run import Run


class Entering:
    """Finishes one part after the other; of a place that takes its time for it, one is under way meanwhile.

    Whoever needs to know that the parts are in the manifest, or wants to enter something that follows from them, waits
    for `done` first.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._under_way: Future[None] | None = None

    async def finish(self, part: Part) -> None:
        """Finish a part, once the one before it is entered; not to be interrupted.

        Raises:
            ExportError: The disk or the store failed with this part or the one before, which is not entered then.
        """
        run = self._run
        if run.uploads is None:
            await run.finish(part)
            return
        with anyio.CancelScope(shield=True):
            sealed = await part.seal()
            try:
                await self.done()
            except BaseException:
                await part.discard()
                raise
            self._under_way = run.uploads.submit(partial(enter, run.manifest, sealed))

    async def done(self) -> None:
        """Wait until all that were finished are entered.

        Raises:
            ExportError: The store failed.
        """
        future, self._under_way = self._under_way, None
        if future is not None:
            with anyio.CancelScope(shield=True):
                await in_thread(self._run.manifest.place, future.result)
