"""Slices from pages of parents, for listings that fan out over another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import APIError
from ..slices.listings import Listing
from ..slices.planning import Parents, parent_slices, parents_on
from .entries import Group, Planned, Replanned, Unplanned
from .judgement import certain, refused
from .schedule import Plan, Read

if TYPE_CHECKING:
    from .run import Run


class ParentPages:
    """Makes slices of pages of parents.

    Args:
        run: What they are read for.
        concurrency: How many slices are read side by side.

    Attributes:
        passing: Resources of which a page of parents failed with something that may pass.
    """

    def __init__(self, run: Run, concurrency: int) -> None:
        self._run = run
        self._concurrency = concurrency
        self._restarted: set[str] = set()
        # the parents that slices were planned of, where a page may bring some of them again
        self._known: dict[str, set[str]] = {}
        self.passing: set[str] = set()

    async def look_up(self, resource: str) -> None:
        """Pass over the parents that slices were planned of before."""
        self._known[resource] = await self._run.blocking(self._run.manifest.parents_planned, resource)

    async def plan(self, plan: Plan) -> None:
        """Make slices of a page of parents.

        Raises:
            APIError: The service failed.
            ExportError: The disk failed.
        """
        run, listing, resource = self._run, plan.listing, plan.listing.resource
        assert listing.parent is not None
        try:
            page = await parents_on(run.client, listing.parent, plan.token)
        except APIError as error:
            await self._failed(plan, error)
            return
        token = page.next_token
        if token is not None and token in run.standing(resource).parents_seen:
            # going on would list the same parents without end
            page.next_token = None
            await self._planned(listing, page)
            why = f"the service gave a page of the parents of {resource} that it gave before"
            await run.blocking(run.manifest.append, Unplanned(resource, token, why))
            return
        await self._planned(listing, page)
        if token is not None:
            run.schedule.add([Plan(listing, token)])

    async def _planned(self, listing: Listing, page: Parents) -> None:
        run, resource = self._run, listing.resource
        assert listing.parent is not None
        ids, known = page.ids, self._known.get(resource)
        if known is not None:
            ids = [each for each in ids if each not in known]
            known.update(ids)
        slices = parent_slices(listing, ids, first=run.standing(resource).named, count=2 * self._concurrency)
        unusable = [Group(listing.parent.resource, why, 1) for _, why in page.unusable]
        await run.blocking(run.manifest.append, Planned(resource, slices, page.next_token, unusable))
        run.tally.planned(resource, slices, last=page.next_token is None)
        run.schedule.add(Read(listing, each) for each in slices)

    async def _failed(self, plan: Plan, error: APIError) -> None:
        """What becomes of a page of parents that cannot be had."""
        run, listing, resource = self._run, plan.listing, plan.listing.resource
        if plan.token is None:
            await run.judge.is_its_own(resource, error)
            run.give_up(resource)  # without parents nothing of it can be read
            return
        if refused(error) and resource not in self._restarted:
            self._restarted.add(resource)
            await self.look_up(resource)
            await run.blocking(run.manifest.append, Replanned(resource))
            run.schedule.add([Plan(listing, None)])
            return
        if not await run.is_its_own(resource, error):
            return
        await run.blocking(run.manifest.append, Unplanned(resource, plan.token, str(error), error.status))
        run.tally.planned(resource, (), last=True)
        if not plan.last and not certain(error):
            self.passing.add(resource)
