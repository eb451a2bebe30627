"""Looks through the queue whenever something changed, and dispatches what may leave it."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from isthmus.v1.control_plane_pb2 import LaunchRunRequest
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus_lifecycle.log import get_logger
from isthmus_store import runs
from isthmus_store.record.run import Run
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching import queue
from isthmus_control_plane.dispatching.dispatch import Order, dispatch
from isthmus_control_plane.dispatching.queue import Dispatch, QueuedRun, Wait
from isthmus_control_plane.fleet import world
from isthmus_control_plane.fleet.world import World
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.validation.definition import resolve_job

log = get_logger(__name__)

#: Queued runs that are looked at in one round.
_LOOK: Final = 2000
#: Runs that leave the queue in one transaction: it holds SQLite's only write lock meanwhile.
_BATCH: Final = 50


class Dequeuer:
    """Hands queued runs to agents, and says of the others why they wait."""

    def __init__(self, core: Core, *, memory: world.SyncMemory) -> None:
        self._core = core
        self._memory = memory

    async def step(self) -> None:
        """Dispatch all that may leave the queue now."""
        while True:
            async with self._core.database.read() as tx:
                waiting = await runs.queued(tx, limit=_LOOK)
                if not waiting:
                    return
                seen = await world.read(tx, memory=self._memory, at=clock.now())
            by_id = {run.run_id: run for run in waiting}
            verdicts = queue.decide_all((_queued(run) for run in waiting), fleet=seen.fleet)
            due = [verdict for verdict in verdicts if isinstance(verdict, Dispatch)]
            await self._explain(verdicts, by_id=by_id)
            await self._dispatch(due[:_BATCH], by_id=by_id, seen=seen)
            if len(due) <= _BATCH:
                return

    async def _explain(self, verdicts: Iterable[queue.Verdict], *, by_id: dict[str, Run]) -> None:
        """Write why runs wait, where that has changed."""
        reasons = {it.run_id: it.reason for it in verdicts if isinstance(it, Wait)}
        changed = {run_id: reason for run_id, reason in reasons.items() if by_id[run_id].message != reason}
        if not changed:
            return
        async with self._core.database.write() as tx:
            await runs.set_message(tx, changed)
        for run_id in changed:
            self._core.hub.run_changed(run_id)

    async def _dispatch(self, due: list[Dispatch], *, by_id: dict[str, Run], seen: World) -> None:
        if not due:
            return
        at = clock.now()
        async with self._core.database.write() as tx:
            for verdict in due:
                run = by_id[verdict.run_id]
                order = Order(
                    agent=verdict.agent,
                    request=await self._request(tx, run, seen=seen),
                    lifetime=timedelta(seconds=self._core.settings.launch_timeout_s),
                )
                await dispatch(tx, run, order=order, at=at)
        self._core.hub.outbox.ring()
        for verdict in due:
            log.info("run_dispatched", run=verdict.run_id, agent=verdict.agent.name)
            self._core.hub.run_changed(verdict.run_id)

    async def _request(self, tx: Transaction, run: Run, *, seen: World) -> RunRequest:
        """Return what the agent is to start; a job left open is resolved now that the definitions are known."""
        request = RunRequest.FromString(run.request)
        request.run.attempt = run.attempt
        if not request.job_name:
            held = seen.placements[LocationKey(run.deployment, run.location)]
            definitions = await self._core.definitions.get(tx, held.snapshot_hash)
            if definitions is not None:
                selection = LaunchRunRequest(
                    asset_selection=request.asset_selection, check_selection=request.check_selection
                )
                request.job_name = resolve_job(selection, definitions=definitions)
        return request


def _queued(run: Run) -> QueuedRun:
    return QueuedRun(run.run_id, LocationKey(run.deployment, run.location))
