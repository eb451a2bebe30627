"""Watches over the living: leases of attempts, the silence of agents, and what follows from it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from isthmus_broker.notices import Notice
from isthmus_lifecycle.boundary import Boundary, keep_going
from isthmus_lifecycle.log import get_logger
from isthmus_store import agents, alerts, events, runs
from isthmus_store.database import Database
from isthmus_store.errors import TransientStoreError, UnknownRunError
from isthmus_store.record.run import Run
from isthmus_store.retry.follow import follow_up
from isthmus_store.signal import AgentGone, LeaseExpired
from isthmus_store.state import AgentState, RunState
from isthmus_store.transaction import WriteTransaction

from isthmus_monitor import alert, history
from isthmus_monitor.delivery import AlertSender, utc_now
from isthmus_monitor.lease import Expiry, LeaseTable, Patience, Verdict
from isthmus_monitor.news import AgentKey
from isthmus_monitor.plan import Plan

_log = get_logger(__name__)

#: Seconds between two looks.
_LOOK_EVERY_S: Final = 1.0
#: A look that comes later than this, seconds, says that the process itself stood still, and heard nothing meanwhile.
_STANDSTILL_S: Final = 5.0
#: Seconds between two comparisons with what other monitors know.
_COMPARE_EVERY_S: Final = 30.0

#: Tells whether an agent's words wait to be read.
IsBehind = Callable[[AgentKey], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Clocks:
    """The time that people read, and the time by which it is measured how long something takes."""

    wall: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic


async def never_behind(_: AgentKey) -> bool:
    """Say of every agent that all it said is read."""
    return False


@dataclass(frozen=True, slots=True)
class Hearing:
    """What a monitor hears."""

    #: Of so many parts of the telemetry.
    shards: int = 1
    is_behind: IsBehind = never_behind


_HEARING: Final = Hearing()
_CLOCKS: Final = Clocks()


_EXPECTED = frozenset({AgentState.ONLINE, AgentState.DRAINING, AgentState.LOST})


class Vigil:
    """Holds the leases, and carries out what their end means.

    Several monitors may watch: before an agent is called lost the store is asked whether another monitor heard it.
    """

    def __init__(
        self,
        database: Database,
        *,
        patience: Patience,
        alert_sender: AlertSender,
        hearing: Hearing = _HEARING,
        clocks: Clocks = _CLOCKS,
    ) -> None:
        self._database = database
        self._patience = patience
        self._alert_sender = alert_sender
        self._is_behind = hearing.is_behind
        self._monotonic = clocks.monotonic
        self._clock = clocks.wall
        self._leases = LeaseTable(patience)
        self._deaf = set(range(hearing.shards))
        self._looked_at = self._monotonic()
        self._lost: set[AgentKey] = set()
        self._compared_at = self._monotonic()
        self._is_loaded = False
        self._leased = Boundary("lease", passes=(TransientStoreError,))
        self._heard = Boundary("silent agent", passes=(TransientStoreError,))

    # ------------------------------------------------------------------------------------------------------- hearing

    def hear_again(self, shard: int = 0) -> None:
        """Telemetry of a shard arrives (again): all silence counts from now."""
        self._deaf.discard(shard)
        self._leases.restart(now=self._monotonic())

    def go_deaf(self, shard: int = 0) -> None:
        """Nothing of a shard can be heard: no silence counts until `hear_again`."""
        self._deaf.add(shard)

    def on_interruption(self) -> None:
        """Count all silence from now: for some time nothing could be stored."""
        self._leases.restart(now=self._monotonic())

    def on_stored(self, plan: Plan, *, runs: Mapping[str, Run]) -> None:
        """Take note of a stored group."""
        now = self._monotonic()
        for run in plan.runs:
            before = runs[run.run_id]
            if run.ref != before.ref or run.state.is_terminal:
                self._leases.release(before.ref)
            if _is_alive(run) and run.ref not in self._leases:
                self._leases.grant(run.ref, agent=(run.deployment, run.agent), now=now)
        for ref, voucher in plan.vouched_by:
            # Another agent knows nothing of it, whatever it says.
            if self._leases.holder(ref) == voucher:
                self._leases.renew(ref, now=now)
        for agent in plan.stopped:
            self._leases.forget(agent)
        for agent in plan.speakers:
            self._leases.hear(agent, now=now)
            self._lost.discard(agent)

    # -------------------------------------------------------------------------------------------------------- looking

    async def run(self, announce: Callable[[Notice], Awaitable[None]]) -> None:
        """Look every second until cancelled; `announce` tells what changed."""
        await keep_going(partial(self._step, announce), name="vigil")

    async def _step(self, announce: Callable[[Notice], Awaitable[None]]) -> None:
        notice = Notice()
        try:
            if self._is_loaded:
                notice = await self.look()
            else:
                await self.load()
        except TransientStoreError as error:
            _log.warning("vigil_delayed", problem=str(error))
        if notice:
            await announce(notice)
        await asyncio.sleep(_LOOK_EVERY_S)

    async def load(self) -> None:
        """Hold a lease for every attempt that lives by the store, and expect every agent that should be there."""
        async with self._database.read() as tx:
            living = [run for run in await runs.active(tx) if _is_alive(run)]
            expected = [agent for agent in await agents.all_of(tx) if agent.state in _EXPECTED]
        now = self._monotonic()
        self._compared_at = now
        for run in living:
            if run.ref not in self._leases:
                self._leases.grant(run.ref, agent=(run.deployment, run.agent), now=now)
        for agent in expected:
            key = (agent.deployment, agent.name)
            if not self._leases.expects(key):
                self._leases.expect(key, now=now)
        self._is_loaded = True
        self._lost |= {(it.deployment, it.name) for it in expected if it.state is AgentState.LOST}

    async def look(self) -> Notice:
        """Give up what nobody vouches for, and call lost who is silent; returns what changed."""
        now = self._monotonic()
        stood_still = now - self._looked_at > _STANDSTILL_S
        self._looked_at = now
        if self._deaf:
            return Notice()
        if stood_still:
            self._leases.restart(now=now)
            return Notice()
        if now - self._compared_at >= _COMPARE_EVERY_S:
            await self._compare()
        await self._hear_those_behind(now=now)
        expired = {expiry: await self._end(expiry) for expiry in self._leases.expired(now=now)}
        ended = {expiry: run_id for expiry, run_id in expired.items() if run_id}
        lost = [agent for agent in self._leases.silent(now=now) if await self._end_waiting(agent)]
        if ended or lost:
            self._alert_sender.wake()
        return Notice(
            runs=frozenset(ended.values()),
            agents=frozenset("/".join(agent) for agent in lost),
            freed=frozenset(expiry.agent[0] for expiry in ended),
        )

    async def _hear_those_behind(self, *, now: float) -> None:
        """Count as heard whose words wait: a sign of life stands behind all else that its agent says."""
        for agent in self._leases.silent(now=now):
            with self._heard.guard(deployment=agent[0], agent=agent[1]):
                if await self._is_behind(agent):
                    self._leases.hear(agent, now=now)

    async def _compare(self) -> None:
        """Tell other monitors what was vouched for here, and learn what they saw begin."""
        vouched = self._leases.take_noteworthy()
        if vouched:
            async with self._database.write() as tx:
                await runs.vouch(tx, [ref.run_id for ref in vouched], at=self._clock())
        await self.load()

    async def _end(self, expiry: Expiry) -> str | None:
        ended: str | None = None
        with self._leased.guard(run_id=expiry.ref.run_id, attempt=expiry.ref.attempt) as fate:
            ended = await self._give_up(expiry)
        if fate.error is not None:
            # The next comparison with the store grants it anew, if it still lives by that.
            self._leases.release(expiry.ref)
        return ended

    async def _end_waiting(self, key: AgentKey) -> bool:
        is_news = False
        with self._heard.guard(deployment=key[0], agent=key[1]) as fate:
            is_news = await self._call_lost(key)
        if fate.error is not None:
            self._leases.forget(key)
        return is_news

    async def _give_up(self, expiry: Expiry) -> str | None:
        ref = expiry.ref
        at = self._clock()
        is_worker = expiry.verdict is Verdict.WORKER_LOST
        signal = LeaseExpired(attempt=ref.attempt) if is_worker else AgentGone(attempt=ref.attempt)
        try:
            async with self._database.write() as tx:
                if not is_worker and await self._was_vouched_elsewhere(tx, expiry):
                    return None
                signaled = await runs.signal(tx, ref.run_id, signal, at=at)
                if signaled.decision.is_change:
                    await self._tell_end(tx, signaled.run, at)
        except UnknownRunError:
            self._leases.release(ref)
            return None
        self._leases.release(ref)
        if not signaled.decision.is_change:
            return None
        _log.warning("run_given_up", run_id=ref.run_id, attempt=ref.attempt, reason=str(signaled.run.reason))
        return ref.run_id

    async def _was_vouched_elsewhere(self, tx: WriteTransaction, expiry: Expiry) -> bool:
        """Ask the store whether another monitor heard of the attempt while this one did not; go on from there."""
        run = await runs.existing(tx, expiry.ref.run_id)
        if run.vouched_at is None:
            return False
        age_s = (self._clock() - run.vouched_at).total_seconds()
        if age_s >= self._patience.agent_gone_after_s:
            return False
        self._leases.grant(expiry.ref, agent=expiry.agent, now=self._monotonic() - age_s)
        return True

    async def _tell_end(self, tx: WriteTransaction, run: Run, at: datetime) -> None:
        await events.append(tx, run.run_id, attempt=run.attempt, events=[history.ended(run, at=at)], stored_at=at)
        if run.state is RunState.FAILED:
            retried = await follow_up(tx, [run], at=at)
            news = alert.run_failed(retried[0] if retried else run, at=at)
            await alerts.add(tx, news, endpoints=self._alert_sender.endpoints_for(news.kind))

    async def _call_lost(self, key: AgentKey) -> bool:
        if key in self._lost:
            return False
        deployment, name = key
        at = self._clock()
        async with self._database.write() as tx:
            agent = await agents.get(tx, deployment=deployment, name=name)
            if agent is None or agent.state not in _EXPECTED:
                self._leases.forget(key)
                return False
            fresh_since = at - timedelta(seconds=self._patience.agent_lost_after_s)
            if agent.last_heard_at is not None and agent.last_heard_at > fresh_since:
                # Another monitor heard it.
                self._leases.expect(key, now=self._monotonic())
                return False
            is_news = await agents.set_state(tx, deployment=deployment, name=name, state=AgentState.LOST)
            if is_news:
                news = alert.agent_lost(agent, at=at)
                await alerts.add(tx, news, endpoints=self._alert_sender.endpoints_for(news.kind))
        self._lost.add(key)
        if is_news:
            _log.warning("agent_lost", deployment=deployment, agent=name)
        return is_news


def _is_alive(run: Run) -> bool:
    return run.accepted_at is not None and not run.state.is_terminal
