"""Why a run waits, and where the time of one that left the queue went."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus_store import run_queue
from isthmus_store.deferral import deferred_until
from isthmus_store.queue_line import Needs
from isthmus_store.record.run import Run
from isthmus_store.state import RunState
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.queue import UNSORTED
from isthmus_control_plane.desk.reason import MOST_HOLDERS, Holder, Reason
from isthmus_control_plane.desk.runs import find
from isthmus_control_plane.desk.standstill import standstill_reasons
from isthmus_control_plane.desk.step_waits import slot_holders, step_reasons
from isthmus_control_plane.dispatching import ledger, queue
from isthmus_control_plane.dispatching.block import Block, Cause, blocks
from isthmus_control_plane.dispatching.ledger import Ledger, NeedsMemory
from isthmus_control_plane.dispatching.rules import NO_RULES
from isthmus_control_plane.fleet import world
from isthmus_control_plane.key import DEFAULT, LocationKey
from isthmus_control_plane.validation import request as rules
from isthmus_control_plane.validation.refusal import refuse

#: Runs of its own line that are counted before a run.
MOST_AHEAD: Final = 1_000


@dataclass(frozen=True, slots=True)
class Station:
    """A part of a run's way."""

    name: str
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A run, why it waits, and its way so far."""

    run: Run
    reasons: Sequence[Reason]
    ahead: int
    stations: Sequence[Station]


class ExplanationDesk:
    """Explains runs, by the same facts and the same function that decide about them."""

    def __init__(self, core: Core, *, memory: world.SyncMemory, needs: NeedsMemory) -> None:
        self._core = core
        self._memory = memory
        self._needs = needs

    async def explain(self, request: api.ExplainRunRequest) -> Explanation:
        """Return why a run waits, what needs a person first."""
        refuse(rules.of_run(deployment=request.deployment, run_id=request.run_id))
        async with self._core.database.read() as tx:
            run = await find(tx, deployment=request.deployment or DEFAULT, run_id=request.run_id.lower())
            if run.state is RunState.QUEUED:
                reasons, ahead = await self._reasons(tx, run)
            else:
                reasons, ahead = [] if run.state.is_terminal else await self._halts(tx, run), 0
        return Explanation(run, reasons, ahead, list(_stations(run)))

    async def _halts(self, tx: Transaction, run: Run) -> list[Reason]:
        """Return what a run that is under way waits for."""
        return [*await standstill_reasons(tx, run), *await step_reasons(tx, run)]

    async def _reasons(self, tx: Transaction, run: Run) -> tuple[list[Reason], int]:
        if deferred_until(run.line) is not None:
            return [Reason(Block(Cause.BACKOFF, run.message))], 0
        location = LocationKey(run.deployment, run.location)
        books = await ledger.read(tx, self._needs, deployments=[run.deployment])
        needs = (await self._needs.of(tx, {run.line: run.run_id}, rules=books.rules)).get(run.line)
        seen = await world.read_location(tx, location, memory=self._memory, at=clock.now())
        ahead = await run_queue.ahead(tx, run, at_most=MOST_AHEAD)
        if needs is None:
            return [Reason(Block(Cause.ORDER, UNSORTED))], ahead
        found = [
            Reason(block, await self._holders(tx, block, books=books))
            for block in blocks(needs, books.view(seen.fleet))
        ]
        return found or [Reason(Block(Cause.ORDER, queue.in_line(location)))], ahead

    async def _holders(self, tx: Transaction, block: Block, *, books: Ledger) -> list[Holder]:
        """Return some of the runs that have what a run waits for."""
        slot = block.slot
        if slot is None:
            return []
        rules_now = books.rules.get(slot.deployment, NO_RULES)
        if slot.kind == "pool" and rules_now.are_pools_of_steps:
            return await slot_holders(tx, slot)

        def has(needs: Needs) -> bool:
            return any(it.slot == slot for it in rules_now.limits_of(needs))

        lines = [line for line, needs in books.needs.items() if has(needs)]
        return [Holder(run, run.dispatched_at) for run in await run_queue.holders(tx, lines, limit=MOST_HOLDERS)]


def _stations(run: Run) -> Iterator[Station]:
    """Tell where a run's time went, from what is known of its moments."""
    names = ("queued", "on its way to the agent", "starting", "running")
    moments = (run.queued_at, run.dispatched_at, run.accepted_at, run.started_at)
    known = [(name, at) for name, at in zip(names, moments, strict=True) if at is not None]
    ends = [at for _, at in known[1:]]
    for (name, began_at), ended_at in zip(known, [*ends, run.ended_at], strict=True):
        yield Station(name, began_at, ended_at)
