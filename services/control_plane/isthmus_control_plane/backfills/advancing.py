"""Moves backfills on while this control plane leads: whenever a run of theirs may have ended, or somebody decided something."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final, assert_never

from isthmus.v1.control_plane_pb2 import BackfillPlan, CreateBackfillRequest
from isthmus_lifecycle.boundary import Boundary, keep_going_until
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.waiting import wait_for
from isthmus_store import backfills, runs
from isthmus_store.backfills import Move
from isthmus_store.errors import LeaseLostError, TransientStoreError
from isthmus_store.record.backfill import Backfill, BackfillDecision, PlannedRun, UnderWay
from isthmus_store.state import UNMET, BackfillOutcome, BackfillState, RunState
from isthmus_store.transaction import Transaction, WriteTransaction
from isthmus_store.wire import storable

from isthmus_control_plane import clock
from isthmus_control_plane.backfills import policy
from isthmus_control_plane.backfills.launching import launch_of
from isthmus_control_plane.backfills.policy import Decision, EndRuns, Finish, GiveUp, Make, Rest, Standing
from isthmus_control_plane.backfills.waiting import released
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching.acceptance import Acceptor, Known, Launch, Written
from isthmus_control_plane.dispatching.ending import ask_for_end
from isthmus_control_plane.errors import ControlPlaneError
from isthmus_control_plane.leadership.leader import Leadership
from isthmus_control_plane.validation import request as rules
from isthmus_control_plane.validation.refusal import refuse

log = get_logger(__name__)

#: How long changes are gathered before the next look, seconds: runs end in crowds.
_GATHERING_S: Final = 0.05
_MOST_PROBLEM: Final = 2_000
#: How often a backfill may fail to be moved on, one time after another, before it is paused.
_MOST_STUMBLES: Final = 5
_UNFORESEEN: Final = (
    "It was paused: the control plane could not move it on, and its log says why, under the backfill's id."
)


class Advancer:
    """Moves backfills on, each by itself: what one of them cannot do its neighbours never notice.

    All that a backfill knows is rows, and the id of a run follows from its place in its backfill: whoever leads next goes
    on where the last one ended, and makes no run twice.
    """

    def __init__(self, core: Core, *, leadership: Leadership, acceptor: Acceptor) -> None:
        self._core = core
        self._leadership = leadership
        self._acceptor = acceptor
        self._backfills = Boundary("backfill", passes=(LeaseLostError, TransientStoreError))
        #: How often each could not be moved on, one time after another.
        self._stumbles: Counter[int] = Counter()
        #: Of which backfills it is known, under the lease of this number, that no run waits for what is over already.
        self._settled: set[int] = set()
        self._settled_under = 0

    async def run(self) -> None:
        """Work until the hub stops."""
        await keep_going_until(self._core.hub.stopping, step=self._turn, name="backfills")

    async def _turn(self) -> None:
        if await self._leadership.do(self.step, loop="backfills", otherwise=False):
            return
        await self._core.hub.backfills.wait(at_most_s=self._core.settings.sweep_interval_s)
        await wait_for(self._core.hub.stopping, at_most_s=_GATHERING_S)

    async def step(self) -> bool:
        """Move each backfill on by one step; returns whether there is more to do at once."""
        async with self._core.database.look() as tx:
            known = await backfills.unfinished(tx)
        if self._settled_under != self._leadership.number:
            # Whoever led before may have left anything of them to be done.
            self._settled_under, self._settled = self._leadership.number, set()
        self._settled &= {it.id for it in known}
        has_more = False
        for it in known:
            with self._backfills.guard(deployment=it.deployment, backfill=it.backfill_id) as fate:
                has_more |= await self._advance(it)
            if fate.error is None:
                self._stumbles.pop(it.id, None)
            else:
                await self._stumble(it)
        return has_more

    async def _stumble(self, it: Backfill) -> None:
        """Pause a backfill that cannot be moved on again and again: a person decides whether it goes on."""
        self._stumbles[it.id] += 1
        if self._stumbles[it.id] < _MOST_STUMBLES or it.paused_at is not None:
            return
        at = clock.now()
        async with self._leadership.write() as tx:
            await backfills.set_paused(tx, it.id, at=at, by="the control plane")
            await _note(tx, it, _UNFORESEEN, runs=0, at=at)

    async def _advance(self, it: Backfill) -> bool:
        # Looked at without the write lock first: most that rings concerns others.
        async with self._core.database.read() as tx:
            standing, moves = await self._look(tx, it)
            decision = policy.decide(standing)
        if not moves and isinstance(decision, Rest):
            self._settled.add(it.id)
            return False
        written: list[Written] = []
        ended: list[str] = []
        async with self._leadership.write() as tx:
            at, fresh = clock.now(), await backfills.lock(tx, it.id)
            if fresh is None or fresh.ended_at is not None:
                return False
            standing, moves = await self._look(tx, fresh)
            await backfills.move(tx, it.id, moves)
            decision = policy.decide(standing)
            match decision:
                case Make(count):
                    written = await self._make(tx, fresh, count=count, at=at)
                case EndRuns(run_ids):
                    ended = await _end_runs(tx, fresh, run_ids, at=at)
                case GiveUp():
                    left = await backfills.give_up(tx, it.id)
                    await _note(tx, fresh, "No more runs are made: it is canceled.", runs=left, at=at)
                case Finish(state, why):
                    await backfills.set_state(tx, it.id, state, at=at)
                    await _note(tx, fresh, why, runs=0, at=at)
                case Rest():
                    pass
                case _:
                    assert_never(decision)
        self._tell(fresh, decision, written=written, ended=ended)
        return not isinstance(decision, Rest | Finish)

    def _tell(self, it: Backfill, decision: Decision, *, written: Sequence[Written], ended: Sequence[str]) -> None:
        for launched in written:
            self._acceptor.tell(launched)
        for run_id in ended:
            self._core.hub.run_ended(run_id)
        if ended:
            self._core.hub.outbox.ring()
        if written or ended or isinstance(decision, Finish):
            kind = type(decision).__name__
            log.info("backfill_advanced", backfill=it.backfill_id, decision=kind, made=len(written), ended=len(ended))

    async def _look(self, tx: Transaction, it: Backfill) -> tuple[Standing, list[Move]]:
        """Return how a backfill stands once the moves, which are to be written, are taken in."""
        known = await backfills.under_way(tx, it.id)
        moves = policy.settled(known)
        if moves or it.id not in self._settled:
            # All of its runs are looked at for those that wait for others: only when something may have come of these.
            course = await backfills.course(tx, it.id)
            moves += released(course, groups=BackfillPlan.FromString(it.plan).groups, moves=moves)
        over = {move.number for move in moves if move.outcome is not BackfillOutcome.UNDER_WAY}
        followed = {move.number: move.run_id for move in moves if move.outcome is BackfillOutcome.UNDER_WAY}
        left = [_followed(one, followed.get(one.number)) for one in known if one.number not in over]
        is_released = any(move.outcome is BackfillOutcome.WAITING for move in moves)
        is_canceling = it.state is BackfillState.CANCELING
        has_waiting = is_released or await backfills.has_unmade(tx, it.id, is_all=is_canceling)
        has_unmet = False
        if not left and not has_waiting:
            has_unmet = any(move.outcome in UNMET for move in moves) or await backfills.has_unmet(tx, it.id)
        return Standing(backfill=it, left=left, has_waiting=has_waiting, has_unmet=has_unmet), moves

    # ---------------------------------------------------------------------------------------------------- making runs

    async def _make(self, tx: WriteTransaction, it: Backfill, *, count: int, at: datetime) -> list[Written]:
        planned = await backfills.waiting(tx, it.id, limit=count)
        asked, plan = CreateBackfillRequest.FromString(it.request), BackfillPlan.FromString(it.plan)
        launches = [launch_of(it, one, asked=asked, plan=plan) for one in planned]
        written, problems = await self._write(tx, launches, at=at)
        if problems:
            # What waits for these waits for nothing.
            self._settled.discard(it.id)
        moves = [_made(one, launch, problems=problems) for one, launch in zip(planned, launches, strict=True)]
        await backfills.move(tx, it.id, moves)
        text = _told(planned, made=len(planned) - len(problems))
        await _note(tx, it, text, runs=len(planned) - len(problems), at=at)
        return written

    async def _write(
        self, tx: WriteTransaction, launches: Sequence[Launch], *, at: datetime
    ) -> tuple[list[Written], dict[str, str]]:
        """Write runs as one; when one of them is refused, each by itself. Also says why those were refused."""
        try:
            async with tx.part():
                for launch in launches:
                    refuse(rules.launch_run(launch.as_call()))
                return await self._acceptor.write_all(tx, launches, at=at, known=Known()), {}
        except ControlPlaneError:
            log.info("backfill_runs_refused", runs=len(launches))
        written: list[Written] = []
        problems: dict[str, str] = {}
        known = Known()
        for launch in launches:
            try:
                async with tx.part():
                    refuse(rules.launch_run(launch.as_call()))
                    written.append(await self._acceptor.write(tx, launch, at=at, known=known))
            except ControlPlaneError as error:
                problems[launch.request.run.run_id] = storable(str(error))[:_MOST_PROBLEM]
        return written, problems


def _followed(it: UnderWay, run_id: str | None) -> UnderWay:
    # How the run stands that follows is looked at next time: it may have ended, too.
    return it if run_id is None else UnderWay(number=it.number, run_id=run_id, state=RunState.QUEUED, retried_by=None)


def _made(it: PlannedRun, launch: Launch, *, problems: dict[str, str]) -> Move:
    run_id = launch.request.run.run_id
    if run_id in problems:
        return Move(number=it.number, outcome=BackfillOutcome.FAILED, run_id=None, problem=problems[run_id])
    return Move(number=it.number, outcome=BackfillOutcome.UNDER_WAY, run_id=run_id)


def _told(planned: Sequence[PlannedRun], *, made: int) -> str:
    first, last, refused = planned[0].first, planned[-1].last, len(planned) - made
    partitions = f" for partitions {first} to {last}" if first and last else ""
    return f"Runs{partitions} were queued." + (f" {refused} could not be made." if refused else "")


async def _end_runs(tx: WriteTransaction, it: Backfill, run_ids: Sequence[str], *, at: datetime) -> list[str]:
    """Ask for the ends of runs: a queued one is canceled at once, and any other when its process is proven gone."""
    by = f"backfill {it.backfill_id}"
    # In the order in which everybody locks runs.
    await runs.lock(tx, run_ids)
    ended = [run_id for run_id in run_ids if await ask_for_end(tx, run_id, by=by, at=at)]
    if ended:
        await _note(tx, it, "Its runs are ended: it is canceled.", runs=len(ended), at=at)
    return ended


async def _note(tx: WriteTransaction, it: Backfill, text: str, *, runs: int, at: datetime) -> None:
    await backfills.note(tx, it.id, BackfillDecision(at=at, text=text, runs=runs))
