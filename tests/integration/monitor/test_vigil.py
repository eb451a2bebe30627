"""The vigil on both databases, by an injected clock: minutes pass at once."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from isthmus_broker.notices import Notice
from isthmus_monitor.delivery import AlertSender
from isthmus_monitor.lease import Patience
from isthmus_monitor.plan import Plan
from isthmus_monitor.vigil import Clocks, Hearing, Vigil
from isthmus_store import agents, alerts, events, run_search, runs
from isthmus_store.database import Database
from isthmus_store.record.agent import AgentHeard, NewAgent
from isthmus_store.record.run import NewRun, Run
from isthmus_store.signal import Accepted, Dispatched, Succeeded
from isthmus_store.state import AgentState, RunReason, RunState

LAB = ("prod", "lab")


@dataclass
class Time:
    """Both clocks, moved by hand."""

    elapsed_s: float = 0.0
    start: datetime = field(default_factory=lambda: datetime(2030, 1, 1, tzinfo=UTC))

    def monotonic(self) -> float:
        return self.elapsed_s

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.elapsed_s)


@dataclass
class Watch:
    """A vigil over one agent, and the hands to let time pass."""

    database: Database
    time: Time
    vigil: Vigil
    #: Agents of which more waits at the broker than is read.
    behind: set[tuple[str, str]]

    async def run(self, *, is_accepted: bool = True) -> Run:
        at = self.time.now()
        new = NewRun(run_id=str(uuid4()), deployment="prod", location="etl", job_name="j", request=b"", queued_at=at)
        async with self.database.write() as tx:
            await runs.insert(tx, new)
            signaled = await runs.signal(tx, new.run_id, Dispatched(attempt=1, agent="lab"), at=at)
            if is_accepted:
                signaled = await runs.signal(tx, new.run_id, Accepted(attempt=1), at=at)
        return signaled.run

    async def heard(self, *, by_other_monitor: bool = False) -> None:
        heard = AgentHeard(
            deployment="prod",
            name="lab",
            state=AgentState.ONLINE,
            heard_at=self.time.now(),
            started_at=None,
            incarnation="life-1",
            version="",
            desired_revision=0,
            active_runs=(),
        )
        async with self.database.write() as tx:
            await agents.heard(tx, [heard])
        if not by_other_monitor:
            self.vigil.on_stored(Plan(speakers={LAB}), runs={})

    async def passes(self, seconds: int, *, is_beating: bool = False, vouching: Run | None = None) -> Notice:
        """Let time pass, looking every second; returns all that was told."""
        told = Notice()
        for second in range(1, seconds + 1):
            self.time.elapsed_s += 1
            if is_beating and second % 5 == 0:
                await self.heard()
                if vouching is not None:
                    self.vigil.on_stored(Plan(vouched_by={(vouching.ref, LAB)}), runs={})
            told |= await self.vigil.look()
        return told

    async def state(self, run: Run) -> tuple[RunState, RunReason]:
        async with self.database.read() as tx:
            now = await runs.existing(tx, run.run_id)
        return now.state, now.reason

    async def agent_state(self) -> AgentState:
        async with self.database.read() as tx:
            (agent,) = await agents.all_of(tx)
        return agent.state


@pytest.fixture
async def watch(database_url: str) -> AsyncIterator[Watch]:
    time = Time()
    async with Database.open(database_url) as database:
        await database.migrate()
        desk = AlertSender(database, webhooks=(), clock=time.now)
        behind: set[tuple[str, str]] = set()

        async def is_behind(agent: tuple[str, str]) -> bool:
            return agent in behind

        vigil = Vigil(
            database,
            patience=Patience(),
            alert_sender=desk,
            hearing=Hearing(is_behind=is_behind),
            clocks=Clocks(time.now, time.monotonic),
        )
        async with database.write() as tx:
            new = NewAgent(deployment="prod", name="lab", pool="default", broker_user="", created_at=time.now())
            await agents.insert(tx, new)
        watch = Watch(database, time, vigil, behind)
        await watch.heard()
        yield watch


async def test_leases_of_a_restarted_monitor_start_anew_and_end_the_lost(watch: Watch) -> None:
    lost, alive, waiting = await watch.run(), await watch.run(), await watch.run(is_accepted=False)
    await watch.vigil.load()
    watch.vigil.hear_again()
    assert await watch.passes(29, is_beating=True, vouching=alive) == Notice()
    told = await watch.passes(6, is_beating=True, vouching=alive)
    assert told == Notice(runs=frozenset({lost.run_id}), freed=frozenset({"prod"}))
    assert await watch.passes(60, is_beating=True, vouching=alive) == Notice()
    assert await watch.state(lost) == (RunState.FAILED, RunReason.WORKER_LOST)
    assert (await watch.state(alive))[0] is RunState.STARTING
    assert (await watch.state(waiting))[0] is RunState.DISPATCHED
    async with watch.database.read() as tx:
        assert [event.kind for event in await events.after(tx, lost.run_id, position=0)] == ["run_failed"]
        assert [told.subject for told in await alerts.recent(tx, deployment="prod")] == [lost.run_id]


async def test_an_attempt_is_vouched_for_by_its_own_agent_alone(watch: Watch) -> None:
    run = await watch.run()
    await watch.vigil.load()
    watch.vigil.hear_again()
    for _ in range(8):
        watch.vigil.on_stored(Plan(vouched_by={(run.ref, ("prod", "barn"))}), runs={})
        await watch.passes(5, is_beating=True)
    assert await watch.state(run) == (RunState.FAILED, RunReason.WORKER_LOST)


async def test_a_silent_agent_is_called_lost_once_and_its_run_given_up_after_a_quarter_of_an_hour(watch: Watch) -> None:
    run = await watch.run()
    await watch.vigil.load()
    watch.vigil.hear_again()
    assert await watch.passes(31) == Notice(agents=frozenset({"prod/lab"}))
    assert await watch.agent_state() is AgentState.LOST
    assert await watch.passes(860) == Notice()
    assert await watch.passes(20) == Notice(runs=frozenset({run.run_id}), freed=frozenset({"prod"}))
    assert await watch.state(run) == (RunState.FAILED, RunReason.AGENT_LOST)


async def test_an_agent_that_another_monitor_hears_is_not_lost(watch: Watch) -> None:
    await watch.vigil.load()
    watch.vigil.hear_again()
    await watch.passes(20)
    await watch.heard(by_other_monitor=True)
    assert await watch.passes(15) == Notice()
    assert await watch.agent_state() is AgentState.ONLINE
    assert (await watch.passes(60)).agents == {"prod/lab"}


async def test_deaf_time_never_counts(watch: Watch) -> None:
    run = await watch.run()
    await watch.vigil.load()
    assert await watch.passes(2_000) == Notice()
    watch.vigil.hear_again()
    assert await watch.passes(25) == Notice()
    watch.vigil.go_deaf()
    assert await watch.passes(2_000) == Notice()
    watch.vigil.hear_again()
    assert await watch.passes(25) == Notice()
    assert (await watch.state(run))[0] is RunState.STARTING


async def test_with_several_shards_one_that_is_deaf_is_enough(watch: Watch) -> None:
    watch.vigil.go_deaf(1)
    watch.vigil.hear_again(0)
    await watch.vigil.load()
    assert await watch.passes(100) == Notice()
    watch.vigil.hear_again(1)
    assert (await watch.passes(31)).agents == {"prod/lab"}


async def test_a_process_that_stood_still_expires_nothing(watch: Watch) -> None:
    run = await watch.run()
    await watch.vigil.load()
    watch.vigil.hear_again()
    await watch.passes(2, is_beating=True)
    watch.time.elapsed_s += 3_600
    assert await watch.vigil.look() == Notice()
    assert await watch.passes(29) == Notice()
    assert (await watch.state(run))[0] is RunState.STARTING


async def test_time_without_a_database_expires_nothing(watch: Watch) -> None:
    run = await watch.run()
    await watch.vigil.load()
    watch.vigil.hear_again()
    await watch.passes(28)
    watch.vigil.on_interruption()
    assert await watch.passes(28) == Notice()
    assert (await watch.state(run))[0] is RunState.STARTING


async def test_a_run_that_ended_elsewhere_is_left_as_it_is(watch: Watch) -> None:
    run = await watch.run()
    await watch.vigil.load()
    watch.vigil.hear_again()
    async with watch.database.write() as tx:
        await runs.signal(tx, run.run_id, Succeeded(attempt=1), at=watch.time.now())
    assert await watch.passes(40, is_beating=True) == Notice()
    assert await watch.state(run) == (RunState.SUCCEEDED, RunReason.UNSPECIFIED)


async def test_runs_that_another_monitor_saw_begin_are_held_here_too(watch: Watch) -> None:
    await watch.vigil.load()
    watch.vigil.hear_again()
    run = await watch.run()
    told = await watch.passes(100, is_beating=True)
    assert told.runs == {run.run_id}
    assert await watch.state(run) == (RunState.FAILED, RunReason.WORKER_LOST)


async def test_a_run_that_is_vouched_for_at_another_monitor_is_not_given_up(watch: Watch) -> None:
    run = await watch.run()
    async with watch.database.write() as tx:
        await agents.set_state(tx, deployment="prod", name="lab", state=AgentState.STOPPED)
    hearing = Vigil(
        watch.database,
        patience=Patience(),
        alert_sender=AlertSender(watch.database, webhooks=()),
        clocks=Clocks(watch.time.now, watch.time.monotonic),
    )
    for vigil in (hearing, watch.vigil):
        await vigil.load()
        vigil.hear_again()
    for _ in range(200):
        # Its code server vouches, as it does while its agent is stopped; one monitor hears that.
        hearing.on_stored(Plan(vouched_by={(run.ref, LAB)}), runs={})
        await watch.passes(5)
        await hearing.look()
    assert (await watch.state(run))[0] is RunState.STARTING
    assert (await watch.passes(860)).runs == set()
    assert (await watch.passes(100)).runs == {run.run_id}
    assert await watch.state(run) == (RunState.FAILED, RunReason.AGENT_LOST)


async def test_an_agent_whose_words_wait_is_not_silent(watch: Watch) -> None:
    run = await watch.run()
    await watch.vigil.load()
    watch.vigil.hear_again()
    watch.behind.add(LAB)
    assert not await watch.passes(2_000)
    assert await watch.agent_state() is AgentState.ONLINE
    assert await watch.state(run) == (run.state, run.reason)
    # All of it is read, and nothing more comes.
    watch.behind.clear()
    await watch.passes(60)
    assert await watch.agent_state() is AgentState.LOST
    assert await watch.state(run) == (run.state, run.reason)
    await watch.passes(900)
    assert await watch.state(run) == (RunState.FAILED, RunReason.AGENT_LOST)


async def test_a_lost_run_that_is_to_be_retried_is_followed_where_it_is_given_up(watch: Watch) -> None:
    lost = await watch.run()
    async with watch.database.write() as tx:
        await run_search.add_tags(tx, lost.run_id, {"dagster/max_retries": "1"})
    await watch.vigil.load()
    watch.vigil.hear_again()
    await watch.passes(40, is_beating=True)
    async with watch.database.read() as tx:
        failed = await runs.existing(tx, lost.run_id)
        assert failed.retried_by is not None
        again = await runs.existing(tx, failed.retried_by)
        (told,) = await alerts.recent(tx, deployment="prod")
    assert (failed.reason, again.state, again.retry_of) == (RunReason.WORKER_LOST, RunState.QUEUED, lost.run_id)
    said = json.loads(told.payload)["data"]
    assert (said["will_retry"], said["retried_by"]) == (True, again.run_id)
