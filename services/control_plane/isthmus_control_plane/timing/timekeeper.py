"""Ends runs that take longer than they may: one timer, at the next deadline of all runs under way."""

from datetime import datetime
from typing import Final

from isthmus_lifecycle.boundary import Boundary, keep_going_until
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.waiting import wait_for
from isthmus_store import events, outbox, queue_settings, runs, timeouts
from isthmus_store.errors import LeaseLostError, TransientStoreError
from isthmus_store.record.run import Run
from isthmus_store.signal import TimedOut
from isthmus_store.state import RunReason
from isthmus_store.termination import terminate
from isthmus_store.timeouts import UnderWay
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane import clock, history
from isthmus_control_plane.core import Core
from isthmus_control_plane.leadership.leader import Leadership
from isthmus_control_plane.timing.deadline import NO_RULES, Deadline, Stage, TimeRules, deadline_of, deadlines

log = get_logger(__name__)

#: The least time between two looks, seconds: many runs may begin at a moment, and one look serves them.
_BREATH_S: Final = 0.5
#: What is left to a process that has had all of its time to end, seconds.
_LAST_GRACE_S: Final = 0.1


class Timekeeper:
    """Watches over the time of runs while this control plane leads.

    What is due is found in the rows each time, so that it outlives whoever watches. A run is said to have failed when its
    process is proven gone, which the monitor tells.
    """

    def __init__(self, core: Core, *, leadership: Leadership) -> None:
        self._core = core
        self._leadership = leadership
        self._runs = Boundary("run out of time", passes=(LeaseLostError, TransientStoreError))

    async def run(self) -> None:
        """Work until the hub stops."""
        await keep_going_until(self._core.hub.stopping, step=self._turn, name="timeouts")

    async def _turn(self) -> None:
        due_in_s = await self._leadership.do(self.step, loop="timeouts", otherwise=float("inf"))
        pause_s = min(self._core.settings.sweep_interval_s, due_in_s)
        await wait_for(self._core.hub.stopping, at_most_s=min(_BREATH_S, pause_s))
        await self._core.hub.timeouts.wait(at_most_s=max(pause_s - _BREATH_S, 0.0))

    async def step(self) -> float:
        """End what is due; returns how long nothing else is, seconds."""
        # Not one state of both: what is due is looked at again before it is ended.
        async with self._core.database.look() as tx:
            rules = {it.deployment: TimeRules.parse(it.body) for it in await queue_settings.all_of(tx)}
            known = await timeouts.under_way(tx)
        for deadline, run in deadlines(known, rules=rules):
            left_s = (deadline.at - clock.now()).total_seconds()
            if left_s > 0:
                return left_s
            with self._runs.guard(run=run.run_id, stage=deadline.stage.name):
                await self._end(run, rules=rules.get(run.deployment, NO_RULES))
        return float("inf")

    async def _end(self, seen: UnderWay, *, rules: TimeRules) -> None:
        at = clock.now()
        async with self._leadership.write() as tx:
            run = (await runs.lock(tx, [seen.run_id])).get(seen.run_id)
            now_known = UnderWay.of(run, max_runtime=seen.max_runtime) if run is not None else None
            deadline = deadline_of(now_known, rules=rules) if now_known is not None else None
            if run is None or deadline is None or deadline.at > at:
                # It went on meanwhile.
                return
            if deadline.stage is Stage.END:
                await _end_harder(tx, run, deadline=deadline, at=at)
            else:
                await _end_for_time(tx, run, deadline=deadline, at=at)
        log.warning("run_out_of_time", run=run.run_id, stage=deadline.stage.name, allowed_s=deadline.allowed_s)
        self._core.hub.outbox.ring()
        self._core.hub.run_changed(run.run_id)


async def _end_for_time(tx: WriteTransaction, run: Run, *, deadline: Deadline, at: datetime) -> None:
    """Ask for the end of a run that takes too long."""
    is_start = deadline.stage is Stage.START
    reason = RunReason.START_TIMEOUT if is_start else RunReason.MAX_RUNTIME
    what = "It did not begin within" if is_start else "It ran for longer than"
    message = f"{what} {deadline.allowed_s:g} s, and was ended."
    await runs.signal(tx, run.run_id, TimedOut(attempt=run.attempt, reason=reason, message=message), at=at)
    text = f"{what} {deadline.allowed_s:g} s: its process is ended."
    await _ask(tx, run, text=text, grace_s=0.0, at=at)


async def _end_harder(tx: WriteTransaction, run: Run, *, deadline: Deadline, at: datetime) -> None:
    """Leave no time to a run that does not end; asked again each time that the time is over."""
    await runs.ask_end_again(tx, run.run_id, at=at)
    text = f"It has not ended within {deadline.allowed_s:g} s: its process is killed."
    await _ask(tx, run, text=text, grace_s=_LAST_GRACE_S, at=at)


async def _ask(tx: WriteTransaction, run: Run, *, text: str, grace_s: float, at: datetime) -> None:
    await history.append(tx, run.ref, news=[events.note(run.ref, text=text, at=at)], at=at)
    await outbox.add(tx, terminate(run.deployment, run.agent, attempt=run.ref, grace_s=grace_s, at=at))
