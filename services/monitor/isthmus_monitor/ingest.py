"""Writes telemetry: a transaction for some batches at a time, and the acknowledgement only after the last commit.

What cannot be stored for a reason of its own is found by writing their batches one by one; the culprit is set aside as
poison. What fails for a while is tried again until it works, because behind it everything else has to wait anyway.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from isthmus.v1.telemetry_pb2 import TelemetryBatch
from isthmus_broker.errors import BrokerError
from isthmus_broker.notices import Notice
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from isthmus_store import (
    agents,
    alerts,
    events,
    outbox,
    placements,
    run_search,
    runs,
    slot_claims,
    snapshot_pieces,
    snapshots,
)
from isthmus_store.database import Database
from isthmus_store.errors import TransientStoreError, UnusableDatabaseError
from isthmus_store.record.location import Placement
from isthmus_store.record.run import Run
from isthmus_store.retry.follow import follow_up
from isthmus_store.state import AgentState
from isthmus_store.transaction import WriteTransaction

from isthmus_monitor import alert
from isthmus_monitor.delivery import AlertSender, utc_now
from isthmus_monitor.news import Bulletin
from isthmus_monitor.plan import Known, PlacementKey, Plan, Wanted
from isthmus_monitor.planner import Planner
from isthmus_monitor.reading import read

_log = get_logger(__name__)

_RETRY_MIN_S: Final = 0.1
_RETRY_MAX_S: Final = 5.0
#: About how many events go into one transaction: deciding on them holds up the event loop, some 10 ms per thousand.
_PORTION: Final = 2_000


class Item(Protocol):
    """A received batch, as the broker's room hands it out."""

    @property
    def batch(self) -> TelemetryBatch:
        """What came."""

    @property
    def routing_key(self) -> str:
        """Where it was sent."""

    @property
    def sender(self) -> str | None:
        """The account that the broker verified."""

    async def reject(self) -> None:
        """Set it aside as poison."""


class Group(Protocol):
    """Received batches that are acknowledged together."""

    @property
    def items(self) -> Sequence[Item]:
        """The batches, in order."""

    async def ack(self) -> None:
        """Say that all of them are durable."""


class NoticeBoard(Protocol):
    """Where changes are made known."""

    async def publish(self, notice: Notice) -> None:
        """Tell whoever listens."""


class Ear(Protocol):
    """Who has to know what was heard, once it is stored."""

    def on_stored(self, plan: Plan, *, runs: Mapping[str, Run]) -> None:
        """Take note of a group; `runs` are those that it was about, as they stood before."""

    def on_interruption(self) -> None:
        """Take note that for some time nothing could be stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlets:
    """Who is told of what was stored."""

    ear: Ear
    alert_sender: AlertSender
    notices: NoticeBoard


class Ingest:
    """The single writer of what a monitor's queues bring."""

    def __init__(
        self,
        database: Database,
        outlets: Outlets,
        *,
        own_account: str,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._own_account = own_account
        self._ear = outlets.ear
        self._alert_sender = outlets.alert_sender
        self._notices = outlets.notices
        self._clock = clock
        # No telemetry is to blame for a database that nobody can use: better no monitor than one that throws everything away.
        self._boundary = Boundary("telemetry group", passes=(UnusableDatabaseError,))
        self._hearing = Boundary("stored group")
        #: What was dropped or odd since the start, by why.
        self.tally: Counter[str] = Counter()

    async def take(self, group: Group) -> None:
        """Store a group, acknowledge it, and tell what changed. Returns when that is done, however long it takes."""
        notice = Notice()
        for items in _portions(group.items):
            notice |= await self._store(items)
        await group.ack()
        await self.announce(notice)

    async def announce(self, notice: Notice) -> None:
        """Tell what changed. A notice is only a wake-up: one that cannot be sent is dropped."""
        if not notice:
            return
        try:
            await self._notices.publish(notice)
        except BrokerError as error:
            _log.debug("notice_dropped", problem=str(error))

    async def _store(self, items: Sequence[Item]) -> Notice:
        notice = Notice()
        with self._boundary.guard(batches=len(items)) as fate:
            notice = await self._persist(items)
        if fate.error is None:
            return notice
        if len(items) == 1:
            await self._set_aside(items[0], fate.error)
            return notice
        for item in items:
            notice |= await self._store([item])
        return notice

    async def _set_aside(self, item: Item, error: Exception) -> None:
        source = item.batch.source
        _log.error(
            "telemetry_poison",
            deployment=source.deployment,
            agent=source.agent,
            problem=f"{type(error).__name__}: {error}",
        )
        self.tally["poison"] += 1
        await item.reject()

    async def _persist(self, items: Sequence[Item]) -> Notice:
        """Write until the database takes it."""
        backoff = Backoff(_RETRY_MIN_S, _RETRY_MAX_S)
        has_failed = False
        while True:
            try:
                notice = await self._write(items)
            except TransientStoreError as error:
                wait_s = backoff.next_wait_s()
                _log.warning("telemetry_delayed", problem=str(error), retry_in_s=round(wait_s, 2), batches=len(items))
                has_failed = True
                await asyncio.sleep(wait_s)
            else:
                if has_failed:
                    self._ear.on_interruption()
                return notice

    async def _write(self, items: Sequence[Item]) -> Notice:
        now = self._clock()
        bulletins = [read(item.batch, routing_key=item.routing_key, sender=item.sender, now=now) for item in items]
        async with self._database.write() as tx:
            known = await _load(tx, Wanted.by(bulletins))
            planner = Planner(known, own_account=self._own_account, now=now)
            for bulletin in bulletins:
                planner.take(bulletin)
            plan = planner.plan()
            await self._carry_out(tx, plan, now=now)
        for piece in plan.pieces:
            await snapshot_pieces.complete(self._database, piece, at=now)
        self._count(plan, bulletins)
        with self._hearing.guard(batches=len(items)):
            self._ear.on_stored(plan, runs=known.runs)
        if plan.alerts or plan.failed:
            self._alert_sender.wake()
        return _notice(plan)

    async def _carry_out(self, tx: WriteTransaction, plan: Plan, *, now: datetime) -> None:
        if plan.outcomes:
            await outbox.record_outcomes(tx, plan.outcomes, at=now)
        await events.insert_many(tx, plan.events, stored_at=now)
        await runs.save_moved(tx, plan.runs, last_positions=plan.positions)
        plan.freed = await slot_claims.end(tx, plan.ended_steps)
        for run_id, tags in sorted(plan.tags.items()):
            await run_search.add_tags(tx, run_id, tags, is_over=False)
        changed = {run.run_id for run in plan.runs}
        grown = {run_id: last for run_id, last in plan.positions.items() if run_id not in changed}
        await events.save_positions(tx, grown)
        await events.save_attempts(tx, plan.attempts)
        await agents.heard(tx, plan.heard.values())
        for deployment, name in sorted(plan.stopped):
            await agents.set_state(tx, deployment=deployment, name=name, state=AgentState.STOPPED)
        for snapshot_hash, body in sorted(plan.snapshots.items()):
            await snapshots.put(tx, snapshot_hash=snapshot_hash, body=body, at=now)
        for piece in plan.pieces:
            await snapshot_pieces.keep(tx, piece, at=now)
        for _, placement in sorted(plan.placements.items()):
            await placements.save(tx, placement)
        retried = {run.run_id: run for run in await follow_up(tx, plan.failed, at=now)}
        failures = [alert.run_failed(retried.get(run.run_id, run), at=now) for run in plan.failed]
        for news in (*failures, *plan.alerts):
            await alerts.add(tx, news, endpoints=self._alert_sender.endpoints_for(news.kind))

    def _count(self, plan: Plan, bulletins: Sequence[Bulletin]) -> None:
        if not plan.tally:
            return
        self.tally.update(plan.tally)
        oddities = {why: count for why, count in plan.tally.items() if why != "duplicate"}
        if oddities:
            sources = sorted({"/".join(bulletin.agent) for bulletin in bulletins})
            _log.warning("telemetry_dropped", agents=sources, **oddities)


async def _load(tx: WriteTransaction, wanted: Wanted) -> Known:
    """Read, and lock, what the group is about."""
    known_agents = await agents.get_many(tx, wanted.agents)
    instructions = await outbox.get_many(tx, wanted.instructions) if wanted.instructions else {}
    run_ids = wanted.runs | {it.run_id for it in instructions.values() if it.run_id}
    known_runs = await runs.lock(tx, run_ids) if run_ids else {}
    attempts = await events.attempts(tx, known_runs) if known_runs else {}
    return Known(
        agents=known_agents,
        instructions=instructions,
        runs=known_runs,
        attempts=attempts,
        placements=await _lock_placements(tx, wanted.placements),
    )


async def _lock_placements(tx: WriteTransaction, keys: Collection[PlacementKey]) -> dict[PlacementKey, Placement]:
    known: dict[PlacementKey, Placement] = {}
    for key in sorted(keys):
        deployment, location, agent = key
        found = await placements.get(tx, deployment=deployment, location=location, agent=agent, for_update=True)
        if found is not None:
            known[key] = found
    return known


def _portions(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Split a group, in order; a batch is never split. A piece of a snapshot is the last of its portion: it is large."""
    portion: list[Item] = []
    size = 0
    for item in items:
        portion.append(item)
        size += len(item.batch.events)
        if size >= _PORTION or any(event.HasField("snapshot_piece") for event in item.batch.events[:1]):
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _notice(plan: Plan) -> Notice:
    return Notice(
        runs=frozenset(plan.positions) | {run.run_id for run in plan.runs},
        agents=frozenset("/".join(agent) for agent in plan.changed_agents),
        locations=frozenset(f"{deployment}/{location}" for deployment, location, _ in plan.placements),
        freed=frozenset(run.deployment for run in plan.runs if run.state.is_terminal) | plan.freed,
    )
