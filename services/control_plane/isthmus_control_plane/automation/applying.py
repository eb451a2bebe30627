"""Writes what ticks come to: each in one piece, many of them in one transaction, and all of them under the leader's lease."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from isthmus.v1.instance_pb2 import AddRunTags, ReportAssetEvent
from isthmus.v1.telemetry_pb2 import Failure
from isthmus_lifecycle.boundary import Boundary, keep_going
from isthmus_lifecycle.log import get_logger
from isthmus_store import dynamic_partitions, evaluations, events, run_keys, runs, ticks
from isthmus_store.errors import LeaseLostError, TransientStoreError
from isthmus_store.record.automation import Tick, TickEnd
from isthmus_store.state import TickStatus
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane import change, clock, history
from isthmus_control_plane.automation import decisions
from isthmus_control_plane.automation.decisions import DecidedAt
from isthmus_control_plane.automation.effects import RUN_KEY_TAG, Effects, WantedBackfill, failed
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching.acceptance import Acceptor, Known, Launch, Written
from isthmus_control_plane.errors import ControlPlaneError
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.leadership.leader import Leadership
from isthmus_control_plane.validation import request as rules
from isthmus_control_plane.validation.refusal import refuse

log = get_logger(__name__)

#: Ticks that are written in one transaction: it holds SQLite's only write lock meanwhile.
AT_ONCE: Final = 25
#: Transactions that write what ticks come to, side by side, where writers do not wait for each other.
_WRITERS: Final = 4
#: A longer cursor is kept with its sensor alone, and not with each tick besides, characters.
MOST_KEPT_CURSOR: Final = 64 * 1024
#: So many launches are judged before others have their turn.
_BREATH: Final = 50
_UNFORESEEN: Final = "the control plane could not apply the tick; its log has the details under the tick's number"


class BackfillMaker(Protocol):
    """Makes the backfills that ticks ask for."""

    async def make(self, tx: WriteTransaction, wanted: WantedBackfill, *, at: datetime) -> None:
        """Write a backfill.

        Raises:
            ControlPlaneError: It cannot be made; nothing was written.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Finished:
    """A tick whose evaluation is over, and who waits for it to be written."""

    tick: Tick
    effects: Effects
    location: LocationKey
    written: asyncio.Future[None]

    def settle(self, problem: Exception | None) -> None:
        """Tell who waits, who may have been cancelled meanwhile."""
        if self.written.done():
            return
        if problem is None:
            self.written.set_result(None)
        else:
            self.written.set_exception(problem)


class Applier:
    """Writes what ticks come to. A tick that cannot be written as it is fails, and its neighbours never notice."""

    def __init__(self, core: Core, *, leadership: Leadership, acceptor: Acceptor, backfills: BackfillMaker) -> None:
        self._core = core
        self._backfills = backfills
        self._leadership = leadership
        self._acceptor = acceptor
        self._finished: asyncio.Queue[_Finished] = asyncio.Queue()
        self._boundary = Boundary("tick to write", passes=(ControlPlaneError, TransientStoreError, LeaseLostError))
        self._together = Boundary("ticks to write")
        self._in_one = Boundary("ticks to write as one", passes=(TransientStoreError, LeaseLostError))

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_WRITERS if self._core.database.is_postgresql else 1):
                tasks.create_task(keep_going(self.step, name="ticks to write"))

    async def apply(self, tick: Tick, effects: Effects, *, location: LocationKey) -> None:
        """Write what a tick came to: the tick, its runs, and what else it wants changed. Once, however often it is asked.

        Raises:
            LeaseLostError: Another leads; nothing was written.
            TransientStoreError: The database is away. What is known is that the tick ended or that nothing was written.
        """
        it = _Finished(tick, effects, location, asyncio.get_running_loop().create_future())
        self._finished.put_nowait(it)
        await it.written

    async def step(self) -> None:
        """Wait for finished ticks and write them."""
        some = [await self._finished.get()]
        while len(some) < AT_ONCE and not self._finished.empty():
            some.append(self._finished.get_nowait())
        written: list[Written] = []
        problem: Exception | None = None
        with self._together.guard(ticks=[it.tick.id for it in some]) as fate:
            try:
                written = await self._write(some)
            except (TransientStoreError, LeaseLostError) as error:
                problem = error
        for launched in written:
            self._acceptor.tell(launched)
        if any(it.effects.backfills for it in some):
            self._core.hub.backfills.ring()
        for run_id in (run_id for it in some for run_id, _ in it.effects.notes):
            self._acceptor.changed(run_id)
        for it in some:
            it.settle(problem or fate.error)

    async def _write(self, some: Sequence[_Finished]) -> list[Written]:
        """Write ticks as one, which asks the database for the least; when one of them cannot be written, each by itself."""
        with self._in_one.guard(ticks=[it.tick.id for it in some]), suppress(ControlPlaneError):
            return await self._write_together(some)
        return await self._write_one_by_one(some)

    async def _write_together(self, some: Sequence[_Finished]) -> list[Written]:
        async with self._leadership.write() as tx:
            return await self._carry_out(_Batch(tx, clock.now(), Known()), some)

    async def _write_one_by_one(self, some: Sequence[_Finished]) -> list[Written]:
        written: list[Written] = []
        async with self._leadership.write() as tx:
            batch = _Batch(tx, clock.now(), Known())
            for it in some:
                written += await self._write_one(batch, it)
        return written

    async def _write_one(self, batch: "_Batch", it: _Finished) -> list[Written]:
        written: list[Written] = []
        # What was learned in a part that is undone is forgotten with it.
        alone = replace(batch, known=Known())
        try:
            with self._boundary.guard(tick=it.tick.id) as fate:
                async with batch.tx.part():
                    written = await self._carry_out(alone, [it])
            problem = _UNFORESEEN if fate.error is not None else ""
        except ControlPlaneError as error:
            problem = str(error)
        if not problem:
            return written
        # What it asked for cannot be had: all that is left of it is that.
        end = failed(Failure(error_class="TickRefused", message=problem))
        await ticks.end(batch.tx, it.tick, _end(end, evaluation=it.effects.evaluation), at=batch.at)
        return []

    async def _carry_out(self, batch: "_Batch", some: Sequence[_Finished]) -> list[Written]:
        tx, at = batch.tx, batch.at
        wanted = [(it, await _without_used_keys(tx, it.effects, at=at)) for it in some]
        ended = await ticks.end_many(tx, [(it.tick, _end_of(effects)) for it, effects in wanted], at=at)
        launches: list[Launch] = []
        for it, effects in wanted:
            if it.tick.id in ended:
                await _change(tx, effects, location=it.location, at=at)
                await _keep_decisions(tx, effects, it=it)
                launches += effects.launches
                for wanted_backfill in effects.backfills:
                    await self._backfills.make(tx, wanted_backfill, at=at)
        for index, launch in enumerate(launches):
            refuse(rules.launch_run(launch.as_call()))
            if index % _BREATH == 0:
                # A tick may ask for ten thousand runs: the lease has to be kept meanwhile, and callers answered.
                await asyncio.sleep(0)
        return await self._acceptor.write_all(tx, launches, at=at, known=batch.known)


@dataclass(frozen=True, slots=True)
class _Batch:
    """A transaction in which ticks are written."""

    tx: WriteTransaction
    at: datetime
    known: Known


async def _without_used_keys(tx: WriteTransaction, effects: Effects, *, at: datetime) -> Effects:
    """Use the run keys of a sensor's tick, and leave out the runs whose keys were used before, or twice in the tick."""
    owner = effects.keys_of
    keyed = {key: it for it in reversed(effects.launches) if (key := it.request.tags.get(RUN_KEY_TAG, ""))}
    if owner is None or not keyed:
        return effects
    used = await run_keys.used(tx, owner, keyed)
    await run_keys.note(tx, owner, used, at=at)
    fresh = {key: it.request.run.run_id for key, it in keyed.items() if key not in used}
    await run_keys.use(tx, owner, fresh, at=at)
    wanted = set(fresh.values())
    left = tuple(it for it in effects.launches if RUN_KEY_TAG not in it.request.tags or it.request.run.run_id in wanted)
    if left or effects.status is not TickStatus.SUCCESS:
        return replace(effects, launches=left)
    reason = "each run that was asked for has a run key that was used before"
    return replace(effects, launches=(), status=TickStatus.SKIPPED, skip_reason=reason)


async def _change(tx: WriteTransaction, effects: Effects, *, location: LocationKey, at: datetime) -> None:
    """Change what a tick wants changed besides runs, in Dagster's order."""
    deployment = location.deployment
    for event in effects.asset_events:
        await change.asset_event(tx, deployment, ReportAssetEvent(event=event), at=at)
    for it in effects.partitions:
        place = {"deployment": deployment, "name": it.name}
        await dynamic_partitions.add(tx, it.added, **place, at=at)
        await dynamic_partitions.remove(tx, it.deleted, **place)
    for tags in effects.run_tags:
        await change.run_tags(tx, deployment, AddRunTags(run_id=tags.run_id, tags=tags.tags), at=at)
    for run_id, text in effects.notes:
        run = await runs.get(tx, run_id)
        # A run that was deleted meanwhile has no history to write into.
        if run is not None and run.deployment == deployment:
            await history.append(tx, run.ref, news=[events.note(run.ref, text=text, at=at)], at=at)


def _end_of(effects: Effects) -> TickEnd:
    run_ids = tuple(launch.request.run.run_id for launch in effects.launches)
    return _end(effects, run_ids=run_ids, evaluation=effects.evaluation)


async def _keep_decisions(tx: WriteTransaction, effects: Effects, *, it: _Finished) -> None:
    """Write down what conditions came to, for who asks why something was executed, or was not."""
    if not effects.decided.decisions or effects.keys_of is None:
        return
    place, sensor = it.location, effects.keys_of.sensor
    by = DecidedAt(
        deployment=place.deployment, location=place.name, sensor=sensor, tick_id=it.tick.id, at=it.tick.began_at
    )
    await evaluations.add(tx, decisions.rows(effects.decided, by=by), trees=effects.decided.trees)


def _end(effects: Effects, *, evaluation: bytes, run_ids: tuple[str, ...] = ()) -> TickEnd:
    return TickEnd(
        status=effects.status,
        run_ids=run_ids,
        skip_reason=effects.skip_reason,
        failure=effects.failure,
        evaluation=evaluation,
        cursor=effects.cursor,
        is_cursor_kept=not effects.is_cursor_opaque and len(effects.cursor or "") <= MOST_KEPT_CURSOR,
        last_run_key=effects.last_run_key,
    )
