"""Runs and steps against limits, over random histories: what processes did is counted, not what rows say.

Two control planes decide, on a real database, and die in the midst of it. An agent that the test plays starts a process for
each launch, and the process claims slots for its steps. Whatever happens, no limit is passed, nobody is passed over, and
all is free in the end.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from integration.queue_world import NOON, POOLS, Plane, QueueWorld
from integration.test_queue_board import serve
from isthmus.v1.control_plane_pb2 import PoolLimits, QueueSettings, TagLimit
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import RunRef
from isthmus_control_plane import clock
from isthmus_control_plane.dispatching import ledger, slots
from isthmus_control_plane.dispatching.choice import LINES_AT_ONCE
from isthmus_control_plane.dispatching.ledger import NeedsMemory
from isthmus_control_plane.dispatching.rules import Rules
from isthmus_control_plane.fleet.facts import Fleet
from isthmus_control_plane.key import LocationKey
from isthmus_store import queue_settings, runs, slot_claims
from isthmus_store.database import Database
from isthmus_store.queue_line import line_name, needs_of
from isthmus_store.queue_settings import NewSettings
from isthmus_store.record.run import NewRun
from isthmus_store.signal import Failed, Succeeded
from isthmus_store.state import RunReason, RunState
from isthmus_store.table.run import RUNS
from sqlalchemy import select

T = TypeVar("T")

#: Rounds in which all that was launched has to be done, once nothing stands in its way.
ROUNDS = 150

#: Acts of one rule.
ACTS = 25
EXAMPLES = 6

LIMITS = st.builds(
    QueueSettings,
    max_runs=st.sampled_from([None, None, None, 0, 2, 5]),
    locations=st.sampled_from([{}, {}, {}, {"etl": 2}, {"ml": 0, "etl": 1}]),
    tags=st.lists(
        st.builds(TagLimit, key=st.just("team"), limit=st.integers(0, 3), value=st.none() | st.sampled_from("ab"))
        | st.builds(TagLimit, key=st.just("team"), limit=st.integers(0, 3), per_value=st.just(True)),
        max_size=1,
    ),
    pools=st.builds(
        PoolLimits,
        default_limit=st.sampled_from([None, 1, 1, 2]),
        limits=st.sampled_from([{}, {}, {"db": 0}, {"gpu": 2}]),
        run_buffer=st.sampled_from([0, 0, 1]),
        granularity=st.sampled_from([PoolLimits.GRANULARITY_OP, PoolLimits.GRANULARITY_OP, PoolLimits.GRANULARITY_RUN]),
    ),
)


class QueueMachine(QueueWorld, RuleBasedStateMachine):
    """See above."""

    template: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.path = self.template.with_name("machine.db")
        shutil.copy(self.template, self.path)
        self.database = self.do(self.stack.enter_async_context(Database.open(f"sqlite+aiosqlite:///{self.path}")))
        self.planes = [Plane(self.database) for _ in range(2)]

    def do(self, act: Coroutine[Any, Any, T]) -> T:
        async def timed() -> T:
            with clock.set_to(self.now):
                return await act

        return self.runner.run(timed())

    def teardown(self) -> None:
        try:
            self.do(self.finish_all())
        finally:
            self.runner.run(self.stack.aclose())
            self.runner.close()

    # ---------------------------------------------------------------------------------------------------------- people

    @initialize(before=LIMITS, after=LIMITS, seed=st.integers(0, 2**32))
    def begin(self, before: QueueSettings, after: QueueSettings, seed: int) -> None:
        """Let some time go by, so that there is something to be disturbed."""
        random = Random(seed)
        # Runs that hold slots as a whole, and then steps that claim some beside them.
        before.pools.granularity, after.pools.granularity = PoolLimits.GRANULARITY_RUN, PoolLimits.GRANULARITY_OP
        for limits in (before, after):
            self.change_limits(limits)
            self.do(self.write_runs([self.some_job(random) for _ in range(10)]))
            self.live(random.randrange(2**32))

    @rule(limits=LIMITS)
    def change_limits(self, limits: QueueSettings) -> None:
        self.do(self.set_limits(limits))

    @rule(pool=st.sampled_from(POOLS), is_paused=st.sampled_from([False, False, True]))
    def pause(self, pool: str, is_paused: bool) -> None:  # noqa: FBT001  # hypothesis calls it by name
        self.do(self.set_paused(pool, is_paused=is_paused))

    @rule(seed=st.integers(0, 2**32), many=st.integers(1, 6))
    def launch(self, seed: int, many: int) -> None:
        random = Random(seed)
        self.do(self.write_runs([self.some_job(random) for _ in range(many)]))

    # --------------------------------------------------------------------------------------------------- control planes

    @rule(seed=st.integers(0, 2**32))
    def live(self, seed: int) -> None:
        """Some time goes by: control planes decide and processes work, as a seed has it."""
        self.do(self.pass_time(Random(seed)))

    async def pass_time(self, random: Random) -> None:
        acts = (self.look, self.grant, self.claim, self.claim, self.end_step, self.die, self.succeed)
        for _ in range(ACTS):
            act, which = random.choice(acts), random.randrange(2)
            await self.starting(partial(act, random, which))

    async def look(self, random: Random, which: int) -> None:
        """A control plane looks through the queue; it may die over it, whatever it has written by then."""
        await self.mortal(self.planes[which].queue.look(), which=which, random=random)

    async def grant(self, random: Random, which: int) -> None:
        await self.mortal(self.planes[which].slots.step(), which=which, random=random)

    async def mortal(self, act: Awaitable[object], *, which: int, random: Random) -> None:
        if random.random() < 0.7:  # mostly it lives on
            await act
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(act, random.uniform(0, 0.012))
        self.planes[which] = Plane(self.database)

    # -------------------------------------------------------------------------------------------------------- processes

    async def claim(self, random: Random, which: int) -> None:
        """A process asks for a slot for one more of its steps, and for those that wait again."""
        able = [
            (run_id, pool)
            for run_id, process in sorted(self.alive.items())
            if process.claims_slots
            for pool in process.job.pools
            if pool not in process.inside
        ]
        if able:
            run_id, pool = random.choice(able)
            await self.ask(run_id, pool, which=which)

    async def end_step(self, random: Random, which: int) -> None:
        at_work = [(run_id, pool) for run_id, it in sorted(self.alive.items()) for pool in sorted(it.inside)]
        if at_work:
            run_id, pool = random.choice(at_work)
            await self.leave_pool(run_id, pool, which=which, is_told=random.random() < 0.8)  # mostly

    async def die(self, random: Random, which: int) -> None:
        """A process is killed, with whatever it has; who was killed before is heard of."""
        del which
        await self.hear_of_the_lost()
        if self.alive and random.random() < 0.5:  # one in two
            run_id = random.choice(sorted(self.alive))
            del self.alive[run_id]
            self.lost.append(run_id)

    async def hear_of_the_lost(self) -> None:
        while self.lost:
            await self.signal(self.lost.pop(), Failed(attempt=1, reason=RunReason.PROCESS_KILLED))

    async def succeed(self, random: Random, which: int) -> None:
        del which
        idle = [run_id for run_id, process in sorted(self.alive.items()) if not process.inside]
        if idle and random.random() < 0.3:  # now and then
            run_id = random.choice(idle)
            del self.alive[run_id]
            await self.signal(run_id, Succeeded(attempt=1))

    # ------------------------------------------------------------------------------------------------- what must be so

    async def starting(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do what may start processes and steps, and look at what was started."""
        granted = await self.granted()
        # What was granted before is a process's, though it has not heard of it.
        uses, load = self.uses(granted), await self.load()
        await act()
        started = await self.start_processes()
        self.check_limits(uses)
        self.check_hold_back(started, load)
        self.check_order(started)
        await self.check_order_of_slots(granted)

    def check_limits(self, before: Counter[str]) -> None:
        """No limit is passed; one that was lowered may have been passed before, but by no more than then."""
        limits, now = self.limits, self.uses()
        most = {name: limits.locations[name] for name in limits.locations}
        if limits.HasField("max_runs"):
            most["runs"] = limits.max_runs
        for tag in limits.tags:
            named = ["team"] if not (tag.per_value or tag.HasField("value")) else []
            named += [f"team={it}" for it in "ab"] if tag.per_value else []
            named += [f"team={tag.value}"] if tag.HasField("value") else []
            most |= {name: min(most.get(name, tag.limit), tag.limit) for name in named}
        for pool in POOLS:
            if pool in limits.pools.limits or limits.pools.HasField("default_limit"):
                most[f"pool {pool}"] = limits.pools.limits.get(pool, limits.pools.default_limit)
        for name, used in now.items():
            assert used <= max(most.get(name, used), before[name]), (name, used, most)

    def check_hold_back(self, started: list[str], load: Counter[str]) -> None:
        """No run left that could only wait for its pools."""
        pools = self.limits.pools
        for run_id in started:
            process = self.alive[run_id]
            if not process.job.root_pools or not process.claims_slots:
                continue
            most = {
                pool: pools.limits.get(pool, pools.default_limit) + pools.run_buffer
                for pool in process.job.root_pools
                if pool in pools.limits or pools.HasField("default_limit")
            }
            free = [
                it for it in process.job.root_pools if it not in self.paused and load[it] < most.get(it, load[it] + 1)
            ]
            assert free, (process.job, load, most, self.paused)
            load.update(process.job.root_pools)

    def check_order(self, started: list[str]) -> None:
        """Of runs that the same holds back, none passes another."""
        waiting = [job for run_id, job in self.jobs.items() if run_id not in self.alive and run_id not in self.done]
        waiting = [job for job in waiting if f"00000000-0000-4000-8000-{job.number:012}" not in self.lost]
        for run_id in started:
            it = self.jobs[run_id]
            same = [
                other
                for other in waiting
                if (other.place, other.team, other.pools, other.root_pools)
                == (it.place, it.team, it.pools, it.root_pools)
            ]
            passed = [other for other in same if (-other.priority, other.number) < (-it.priority, it.number)]
            assert not passed, (it, passed)

    async def check_order_of_slots(self, before: set[tuple[str, str]]) -> None:
        """Of a pool, no claim got a slot before one that goes first."""
        claims = await self.claims()
        for it in claims:
            if it.granted_at is None or (it.run_id, it.step_key) in before:
                continue
            ahead = [
                other
                for other in claims
                if other.pool == it.pool
                and other.granted_at is None
                and (-other.priority, other.wanted_at) < (-it.priority, it.wanted_at)
            ]
            assert not ahead, (it, ahead)

    async def finish_all(self) -> None:
        """Let everything go on, one at a time: nobody is left waiting, and nothing taken."""
        await self.hear_of_the_lost()
        granularity = PoolLimits.GRANULARITY_OP if len(self.jobs) % 2 else PoolLimits.GRANULARITY_RUN
        await self.set_limits(QueueSettings(max_runs=4, pools=PoolLimits(default_limit=1, granularity=granularity)))
        for pool in POOLS:
            await self.set_paused(pool, is_paused=False)
        for turn in range(ROUNDS):
            if len(self.done) == len(self.jobs):
                break
            await self.starting(self.planes[turn % 2].queue.step)
            for run_id in sorted(self.alive):
                await self.go_on(run_id, which=turn % 2)
        assert self.done == set(self.jobs), "a run was never done"
        await self.check_all_is_free()

    async def go_on(self, run_id: str, *, which: int) -> None:
        """Let a process do what it can, and end when its steps are done."""
        process = self.alive[run_id]
        for pool in sorted(process.inside):
            await self.starting(lambda pool=pool: self.leave_pool(run_id, pool, which=which, is_told=True))  # type: ignore[misc]
        undone = [pool for pool in process.job.pools if not process.tries[pool]] if process.claims_slots else []
        for pool in undone:
            await self.starting(lambda pool=pool: self.ask(run_id, pool, which=which))  # type: ignore[misc]
        if not undone and not process.inside:
            del self.alive[run_id]
            await self.signal(run_id, Succeeded(attempt=1))

    async def check_all_is_free(self) -> None:
        async with self.database.read() as tx:
            books = await ledger.read(tx, NeedsMemory(), deployments=["default"])
            assert not +books.view(Fleet.of([], locations=[], holdings=[])).taken
            assert not await slot_claims.live(tx, "default")
            assert not any((await slots.read_pools(tx, "default")).whole_runs.values())
            assert not list(await tx.execute(select(RUNS.c.run_id).where(RUNS.c.state == RunState.QUEUED)))


@pytest.mark.timeout(240)
def test_no_limit_is_passed_and_nobody_passed_over_whatever_happens(tmp_path: Path) -> None:
    path = tmp_path / "template.db"

    async def make() -> None:
        async with Database.open(f"sqlite+aiosqlite:///{path}") as database:
            await database.migrate()
            async with database.write() as tx:
                await serve(tx)

    asyncio.run(make())
    QueueMachine.template = path
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=6,
            deadline=None,
            database=None,
            # Every step is some transactions: to make a history smaller would take minutes.
            phases=[Phase.generate],
        ),
    )


async def test_a_run_behind_thousands_of_lines_has_its_turn(tmp_path: Path) -> None:
    limits = QueueSettings(max_runs=1, tags=[TagLimit(key="customer", per_value=True, limit=1)])
    keys = Rules.of(limits).keys

    def new(number: int, *, place: str) -> NewRun:
        run_id, tags = f"00000000-0000-4000-8000-{number:012}", {"customer": str(number)}
        needs = needs_of(LocationKey("default", place), tags=tags, pools=(), keys=keys)
        request = RunRequest(run=RunRef(run_id=run_id, attempt=1), job_name="job")
        return NewRun(
            run_id=run_id,
            deployment="default",
            location=place,
            job_name="job",
            request=request.SerializeToString(),
            queued_at=NOON + timedelta(seconds=number),
            tags=tags,
            line=line_name(needs, keys=keys),
        )

    async with Database.open(f"sqlite+aiosqlite:///{tmp_path}/lines.db") as database:
        await database.migrate()
        async with database.write() as tx:
            await serve(tx)
            settings_now = NewSettings(
                body=limits.SerializeToString(), is_limiting=True, changed_by="", changed_at=NOON
            )
            await queue_settings.save(tx, "default", settings_now)
            for number in range(LINES_AT_ONCE + 100):
                await runs.insert(tx, new(number, place="etl"))
            # Its line is the last of all by its name, and it came last.
            await runs.insert(tx, new(9_999, place="ml"))
        queue, left = Plane(database).queue, list[str]()
        for _ in range(4):
            await queue.step()
            async with database.write() as tx:
                (run,) = await runs.active(tx)
                left.append(run.location)
                await runs.signal(tx, run.run_id, Succeeded(attempt=1), at=NOON)
        assert "ml" in left
