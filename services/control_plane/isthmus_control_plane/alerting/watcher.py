"""Looks at what happened and what lasts, for all alert policies, and lets go what was gathered for long enough."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from isthmus_lifecycle.boundary import Boundary, keep_going_until
from isthmus_store import alert_book, alert_policies, alerts
from isthmus_store.asset_freshness import FRESHNESS_CHANGED
from isthmus_store.errors import LeaseLostError, TransientStoreError
from isthmus_store.record.alert import AlertPolicyRow
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.alerting import happened, lasting, message
from isthmus_control_plane.alerting.books import Books
from isthmus_control_plane.alerting.fact import Fact
from isthmus_control_plane.alerting.policy import Policy
from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.assets import AssetDesk
from isthmus_control_plane.leadership.leader import Leadership
from isthmus_control_plane.trail import Trail, read_on
from isthmus_control_plane.validation import alert_kind as kinds
from isthmus_control_plane.validation.asset_query import Paths

#: How many events one look takes in.
_EVENTS: Final = 1_000
#: Seconds between two looks at what lasts.
_LOOK_EVERY_S: Final = 5.0
#: Seconds between two looks at how assets fare, which costs more.
_ASSETS_EVERY_S: Final = 30.0
_Selected = Mapping[tuple[str, str], Paths]


class Watcher:
    """Serves alert policies while this control plane leads."""

    def __init__(self, core: Core, *, leadership: Leadership, assets: AssetDesk) -> None:
        self._core = core
        self._leadership = leadership
        self._assets = assets
        self._trail: Trail | None = None
        self._number = 0
        self._looked_at = -_LOOK_EVERY_S
        self._looked_at_assets = -_ASSETS_EVERY_S
        self._policies = Boundary("alert policy", passes=(LeaseLostError, TransientStoreError))

    async def run(self) -> None:
        """Work until the hub stops."""
        await keep_going_until(self._core.hub.stopping, step=self._turn, name="alert policies")

    async def _turn(self) -> None:
        if await self._leadership.do(self.step, loop="alert policies", otherwise=True):
            await self._core.hub.alerts.wait(at_most_s=self._core.settings.sweep_interval_s)

    async def step(self) -> bool:
        """Look once; returns whether all that happened was looked at."""
        if self._number != self._leadership.number:
            # Another led meanwhile, and read on.
            self._number, self._trail = self._leadership.number, None
        now = clock.now()
        async with self._core.database.read() as tx:
            policies = self._parsed(await alert_policies.all_of(tx), now=now)
            if not policies:
                self._trail = None
                return True
            selected = await self._selected(tx, policies)
        is_done = await self._take_happened(policies, selected=selected, now=now)
        await self._take_lasting(policies, selected=selected, now=now)
        await self._tell({(it.deployment, it.name): it for it in policies}, now=now)
        return is_done

    def _parsed(self, rows: Sequence[AlertPolicyRow], *, now: datetime) -> list[Policy]:
        found = []
        for row in rows:
            with self._policies.guard(deployment=row.deployment, policy=row.name):
                found.append(Policy.of(row, now=now))
        return found

    async def _selected(self, tx: Transaction, policies: Sequence[Policy]) -> _Selected:
        return {
            (it.deployment, it.name): await self._assets.selected(tx, it.deployment, it.assets)
            for it in policies
            if it.assets
        }

    # ------------------------------------------------------------------------------------------------ what happened

    async def _take_happened(self, policies: Sequence[Policy], *, selected: _Selected, now: datetime) -> bool:
        shown = happened.shown_by({kind for it in policies for kind in it.kinds})
        async with self._core.database.read() as tx:
            trail = self._trail = self._trail or Trail(await alert_book.cursor(tx))
            reading = await read_on(tx, trail, most=_EVENTS, now=now)
            facts = await happened.facts_of(tx, [it for it in reading.news if it.kind in shown])
        if any(it.kind == FRESHNESS_CHANGED for it in reading.news):
            self._looked_at_assets = -_ASSETS_EVERY_S
        floor = reading.trail.floor
        if facts or floor != trail.floor:
            await self._keep(policies, facts, selected=selected, floor=floor, now=now)
        self._trail = reading.trail
        return not reading.has_more

    async def _keep(
        self, policies: Sequence[Policy], facts: Sequence[Fact], *, selected: _Selected, floor: int, now: datetime
    ) -> None:
        async with self._leadership.write() as tx:
            books = await Books.open(tx, now=now)
            for fact in facts:
                for policy in policies:
                    await _take(books, policy, fact, assets=selected.get((policy.deployment, policy.name)))
            await books.close()
            await alert_book.move_cursor(tx, floor)

    # --------------------------------------------------------------------------------------------------- what lasts

    async def _take_lasting(self, policies: Sequence[Policy], *, selected: _Selected, now: datetime) -> None:
        standing = await self._standing(policies, now=now)
        if not any(standing.values()) and not await self._has_incidents(standing):
            return
        async with self._leadership.write() as tx:
            books = await Books.open(tx, now=now)
            for policy in policies:
                for kind in sorted(policy.kinds & set(standing)):
                    chosen = selected.get((policy.deployment, policy.name))
                    facts = [it for it in standing[kind] if policy.wants(it, assets=chosen)]
                    if kinds.KINDS[kind].lasts:
                        await books.hold(policy, kind, {it.subject: it for it in facts})
                    else:
                        for fact in facts:
                            await books.take(policy, fact)
            await books.close()

    async def _standing(self, policies: Sequence[Policy], *, now: datetime) -> dict[str, list[Fact]]:
        monotonic = time.monotonic()
        found: dict[str, list[Fact]] = {}
        if monotonic - self._looked_at >= _LOOK_EVERY_S:
            async with self._core.database.read() as tx:
                look = lasting.Look(tx=tx, policies=policies, settings=self._core.settings, now=now)
                found |= await lasting.read(look)
            self._looked_at = monotonic
        of_assets = [it for it in policies if it.kinds & lasting.ASSET_KINDS]
        if of_assets and monotonic - self._looked_at_assets >= _ASSETS_EVERY_S:
            views = []
            async with self._core.database.read() as tx:
                for deployment in sorted({it.deployment for it in of_assets}):
                    views += await self._assets.fares(tx, deployment)
            found |= lasting.of_assets(views, now=now)
            self._looked_at_assets = monotonic
        return found

    async def _has_incidents(self, kinds_looked_at: Mapping[str, object]) -> bool:
        async with self._core.database.read() as tx:
            return any(it.kind in kinds_looked_at for it in await alert_book.incidents(tx))

    # -------------------------------------------------------------------------------------------------- what is told

    async def _tell(self, policies: Mapping[tuple[str, str], Policy], *, now: datetime) -> None:
        async with self._core.database.read() as tx:
            next_due_at = await alert_book.next_due_at(tx)
        if next_due_at is None or next_due_at > now:
            return
        async with self._leadership.write() as tx:
            for group in await alert_book.groups(tx):
                if group.due_at > now:
                    break
                policy = policies.get((group.deployment, group.policy))
                quiet = policy.pace.quiet.until(now) if policy is not None and policy.pace.quiet is not None else None
                if quiet is not None:
                    await alert_book.postpone(tx, group, until=quiet)
                    continue
                await alert_book.remove_group(tx, group)
                if policy is not None:
                    news = message.told(group, at=now, is_muted=policy.is_muted)
                    endpoints = () if policy.is_muted else policy.endpoints
                    await alerts.add(tx, news, endpoints=endpoints)


async def _take(books: Books, policy: Policy, fact: Fact, *, assets: Paths | None) -> None:
    if policy.wants(fact, assets=assets):
        await books.take(policy, fact)
    if fact.kind in kinds.ENDS and policy.covers(fact, assets=assets):
        await books.take_end(policy, fact)
