"""Keeps how fresh assets are, while this control plane leads: one timer, at the next moment at which one of them changes."""

import time
from collections.abc import Collection
from typing import Final

from isthmus_lifecycle.boundary import keep_going_until
from isthmus_lifecycle.log import get_logger
from isthmus_store import asset_freshness, event_index
from isthmus_store.asset_wipes import WIPED
from isthmus_store.event_index import News
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.catalog.freshness_book import AssetName, FreshnessBook
from isthmus_control_plane.catalog.merging import CatalogMemory
from isthmus_control_plane.core import Core
from isthmus_control_plane.leadership.leader import Leadership
from isthmus_control_plane.trail import Trail, read_on

log = get_logger(__name__)

#: How long it is trusted that nobody told of an event late, or of another policy, seconds.
_COMPARE_EVERY_S: Final = 30.0
#: The least time between two looks, seconds: events come in crowds.
_BREATH_S: Final = 0.1
#: Events that are read at once to see whom they concern.
_NEWS: Final = 5_000
_MADE: Final = "asset_materialized"


class FreshnessKeeper:
    """Tells when assets become fresh, nearly too old, and too old."""

    def __init__(self, core: Core, *, leadership: Leadership, catalogs: CatalogMemory) -> None:
        self._core = core
        self._leadership = leadership
        self._catalogs = catalogs
        self._book = FreshnessBook()
        #: Under the lease of which number, after which changes of locations, and when all was compared.
        self._compared_for = (0, 0)
        self._compared_at = -_COMPARE_EVERY_S
        #: Up to which event it is known whom they concern.
        self._trail = Trail(0)

    async def run(self) -> None:
        """Work until the hub stops."""
        await keep_going_until(self._core.hub.stopping, step=self._turn, name="freshness")

    async def _turn(self) -> None:
        due_in_s = await self._leadership.do(self.step, loop="freshness", otherwise=float("inf"))
        pause_s = min(self._core.settings.sweep_interval_s, due_in_s)
        await self._core.hub.freshness.wait(at_most_s=max(pause_s, _BREATH_S))

    async def step(self) -> float:
        """Tell what changed; returns how long nothing else does by itself, seconds."""
        await self._take_in()
        changes = self._book.changes(clock.now())
        if changes:
            async with self._leadership.write() as tx:
                await asset_freshness.change(tx, changes)
            self._book.tell(changes)
            log.info("freshness_changed", assets=len(changes))
            self._core.hub.assets_changed()
        next_at = self._book.next_at()
        return float("inf") if next_at is None else max(0.0, (next_at - clock.now()).total_seconds())

    async def _take_in(self) -> None:
        """Read what happened, or from time to time all that is known."""
        state = self._leadership.number, self._core.hub.schedule_changes
        if state != self._compared_for or time.monotonic() - self._compared_at >= _COMPARE_EVERY_S:
            await self._compare()
            self._compared_for, self._compared_at = state, time.monotonic()
        elif self._book:
            async with self._core.database.read() as tx:
                await self._hear(tx)

    async def _compare(self) -> None:
        async with self._core.database.read() as tx:
            # What is being written at this moment, under a smaller number, is seen when all is compared next.
            self._trail = Trail(await event_index.newest_id(tx))
            policies = {
                (catalog.deployment, it.key): it.asset.freshness
                for catalog in await self._catalogs.all_of(tx)
                for it in catalog.assets.values()
                if it.asset.freshness is not None
            }
            made = {
                (deployment, place.asset): place.occurred_at
                for deployment in {deployment for deployment, _ in policies}
                for place in (await _newest(tx, deployment, _assets(policies, deployment))).values()
            }
            told = await asset_freshness.all_of(tx)
        left = self._book.replace(policies, made=made, told=told, now=clock.now())
        # Where nobody asks for freshness, an event is not to cost a look at it.
        self._core.hub.heeds_freshness = bool(self._book)
        if left:
            async with self._leadership.write() as tx:
                await asset_freshness.forget(tx, left)

    async def _hear(self, tx: Transaction) -> None:
        reading = await read_on(tx, self._trail, most=_NEWS, now=clock.now())
        self._trail = reading.trail
        for deployment in {it.deployment for it in reading.news}:
            told = self._concerned([it for it in reading.news if it.deployment == deployment])
            if told:
                found, now = await _newest(tx, deployment, told), clock.now()
                for asset in told:
                    at = found[asset].occurred_at if asset in found else None
                    self._book.made((deployment, asset), at, now=now)
        if reading.has_more:
            self._core.hub.freshness.ring()

    def _concerned(self, news: Collection[News]) -> set[str]:
        """Return the assets with a policy that events of one deployment may be about."""
        if any(it.kind == WIPED for it in news):
            return _assets(self._book.names, next(iter(news)).deployment)
        return {it.asset for it in news if it.kind == _MADE and (it.deployment, it.asset) in self._book.names}


async def _newest(tx: Transaction, deployment: str, assets: Collection[str]) -> dict[str, event_index.NewestOfAsset]:
    return await event_index.newest_places(tx, deployment=deployment, assets=assets, kind=_MADE)


def _assets(names: Collection[AssetName], deployment: str) -> set[str]:
    return {asset for of, asset in names if of == deployment}
