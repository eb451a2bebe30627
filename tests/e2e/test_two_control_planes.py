"""Two control planes and two monitors on one database and one broker: whatever becomes of any of them, each tick fires once.

The control planes have clocks that the test sets, so that the next full minute is always near.
"""

import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from isthmus.v1.control_plane_pb2 import RUN_STATE_SUCCEEDED, ListRunsQuery, Run
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus_client.errors import UnavailableError
from isthmus_store import instigators, ticks
from isthmus_store.database import Database
from isthmus_store.state import InstigatorKind, TickStatus
from isthmus_store.table.automation import TICKS
from isthmus_store.table.event import EVENTS
from isthmus_store.transaction import Transaction
from sqlalchemy import func, select
from support.eventually import eventually
from support.faketime import ShiftedClock
from support.postgres import PostgresNode, postgres_node
from support.rabbitmq import Rabbit
from support.system import Operator, Service, System

PROJECT = Path(__file__).parent / "project"
SCHEDULES = 5
#: How long nobody may lead, seconds.
TAKEOVER_S = 10.0
MINUTE = timedelta(minutes=1)
#: How long before a full minute the clocks are set, seconds.
AHEAD_S = 1.0
#: How often each of the faults is made.
ROUNDS = int(os.environ.get("ISTHMUS_CHAOS_ROUNDS", "1"))
pytestmark = pytest.mark.timeout(200 * ROUNDS)


@dataclass
class Plane:
    """A control plane, and its own clock."""

    service: Service
    clock: ShiftedClock

    def taken(self) -> list[int]:
        """The numbers of the leases that it took."""
        log = self.service.log
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return [json.loads(line)["number"] for line in lines if '"lease_taken"' in line]


@dataclass
class Pair:
    """A system with a second control plane and a second monitor."""

    system: System
    planes: list[Plane]
    postgres: PostgresNode
    database_url: str
    #: The full minute that came last by the planes' clocks, and how far ahead of the machine's these are.
    minute: datetime = field(default_factory=lambda: datetime.now(UTC))
    ahead: timedelta = timedelta()
    #: Minutes of which every tick has to be there, and how long nobody led each time, seconds.
    minutes: list[datetime] = field(default_factory=list)
    takeovers: dict[str, list[float]] = field(default_factory=dict)

    def leader(self) -> Plane:
        """The control plane that took the lease last."""
        return max(self.planes, key=lambda plane: max(plane.taken(), default=0))

    def highest(self) -> int:
        return max((number for plane in self.planes for number in plane.taken()), default=0)

    def set_clocks(self, at: datetime) -> None:
        self.ahead = at - datetime.now(UTC)
        for plane in self.planes:
            plane.clock.set(at)

    async def next_minute(self, *, at_s: float) -> datetime:
        """Let the next full minute come soon, and return it so many seconds after it came; before it, if negative."""
        now = max(self.minute, datetime.now(UTC) + self.ahead + timedelta(seconds=AHEAD_S))
        self.minute = now.replace(second=0, microsecond=0) + MINUTE
        self.minutes.append(self.minute)
        self.set_clocks(self.minute - timedelta(seconds=AHEAD_S))
        begun = time.monotonic()
        await eventually(lambda: time.monotonic() >= begun + AHEAD_S + at_s, within=AHEAD_S + 1, every=0.005)
        return self.minute

    async def knows_schedules(self) -> bool:
        """Tell whether the leader has seen what the location defines: times count from then on."""
        async with self.reading() as tx:
            return len(await instigators.all_of(tx)) == SCHEDULES

    async def fired(self, minute: datetime) -> None:
        """Wait until all ticks of a minute are done."""

        async def is_so() -> bool:
            async with self.reading() as tx:
                found = (await tx.execute(select(TICKS.c.status).where(TICKS.c.at == minute))).scalars().all()
            return [status is TickStatus.SUCCESS for status in found] == [True] * SCHEDULES

        await eventually(is_so, within=20)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        async with Database.open(self.database_url) as database, database.read() as tx:
            yield tx

    async def taken_over(self, *, after: int, since: float, why: str) -> None:
        """Wait for another's lease, no longer than a takeover may last."""
        await eventually(lambda: self.highest() > after, within=TAKEOVER_S)
        self.takeovers.setdefault(why, []).append(time.monotonic() - since)


@pytest.fixture
def pair(rabbitmq: Rabbit, tmp_path: Path) -> Iterator[Pair]:
    """Two of each, on one broker and one database, which is the test's own."""
    with postgres_node() as postgres:
        database_url = postgres.server.create_database()
        system = System(rabbitmq.take_url(), database_url, tmp_path)
        planes = [system.services["control_plane"], doubled(system, "control_plane")]
        planes[1].environment["ISTHMUS_CONTROL_PLANE_LISTEN"] = f"127.0.0.1:{free_port()}"
        doubled(system, "monitor")
        with_clocks = [Plane(plane, own_clock(plane, folder=tmp_path)) for plane in planes]
        system.start()
        try:
            yield Pair(system, with_clocks, postgres, database_url)
        finally:
            system.stop()


def doubled(system: System, name: str) -> Service:
    """Add another process of a service."""
    first = system.services[name]
    second = Service(name, dict(first.environment), first.log.with_name(f"{name}-2.log"))
    system.services[f"{name}-2"] = second
    return second


def own_clock(service: Service, *, folder: Path) -> ShiftedClock:
    place = folder / f"clock-{service.log.stem}"
    place.mkdir()
    clock = ShiftedClock.beside(place)
    service.environment.update(clock.environment)
    return clock


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def standing_still(service: Service) -> Iterator[None]:
    """Stop a process, and let it go on."""
    assert service.process is not None
    service.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        service.process.send_signal(signal.SIGCONT)


async def test_each_tick_fires_once_whatever_becomes_of_whom(pair: Pair) -> None:
    async with pair.system.client() as client:
        operator = Operator(pair.system, client)
        await operator.enroll_agent()
        source = CodeSource(python_file=str(PROJECT / "minutely.py"), working_directory=str(PROJECT))
        await operator.apply("minutely", source)
        await eventually(pair.knows_schedules, within=20)
        for _ in range(ROUNDS):
            await leader_is_killed_as_ticks_begin(pair)
            await leader_stands_still_over_its_lease(pair)
            await leaders_clock_is_put_ahead_and_back(pair)
            await leaders_clock_is_put_back_and_right(pair)
            await database_is_restarted_as_ticks_begin(pair)
            await monitors_die_and_stand_still_as_runs_end(pair)
        await all_runs_succeeded(operator)
        await assert_each_tick_fired_once(pair, operator)
    for why, took in pair.takeovers.items():
        print(f"{why}: {len(took)} takeovers, at most {max(took):.1f} s")  # noqa: T201  # make chaos shows it


async def leader_is_killed_as_ticks_begin(pair: Pair) -> None:
    """Kill the leader right after a full minute; the other does what it left."""
    minute = await pair.next_minute(at_s=0.02)
    leader, number = pair.leader(), pair.highest()
    leader.service.end(signal.SIGKILL)
    await pair.taken_over(after=number, since=time.monotonic(), why="kill -9")
    assert pair.leader() is not leader
    await pair.fired(minute)
    leader.service.start()


async def leader_stands_still_over_its_lease(pair: Pair) -> None:
    """Stop the leader before a full minute and for longer than its lease; it can write nothing afterwards."""
    minute = await pair.next_minute(at_s=-0.5)
    leader, number = pair.leader(), pair.highest()
    with standing_still(leader.service):
        await pair.taken_over(after=number, since=time.monotonic(), why="SIGSTOP")
    await pair.fired(minute)
    assert leader.service.is_alive


async def leaders_clock_is_put_ahead_and_back(pair: Pair) -> None:
    """Two minutes come at once, of which the later one is made up for; neither fires again once the clock is right."""
    await pair.next_minute(at_s=0.02)
    await pair.fired(pair.minute)
    leader = pair.leader()
    leader.clock.set(pair.minute + 2 * MINUTE + timedelta(seconds=5))
    pair.minute += 2 * MINUTE
    pair.minutes.append(pair.minute)
    await pair.fired(pair.minute)
    leader.clock.set(pair.minute - 2 * MINUTE + timedelta(seconds=5))
    await pair.next_minute(at_s=0)
    await pair.fired(pair.minute)


async def leaders_clock_is_put_back_and_right(pair: Pair) -> None:
    """Minutes that come a second time fire nothing; the leader is killed in between, and the other's clock is right."""
    await pair.next_minute(at_s=0.02)
    await pair.fired(pair.minute)
    leader, number = pair.leader(), pair.highest()
    leader.clock.set(pair.minute - 2 * MINUTE - timedelta(seconds=AHEAD_S))
    last = await pair.next_minute(at_s=-0.5)
    leader.clock.set(last - 3 * MINUTE)
    leader.service.end(signal.SIGKILL)
    await pair.taken_over(after=number, since=time.monotonic(), why="kill -9 of one whose clock is wrong")
    await pair.fired(last)
    leader.service.start()


async def database_is_restarted_as_ticks_begin(pair: Pair) -> None:
    """Restart PostgreSQL right after a full minute: what was begun is done again, under whichever leader."""
    minute = await pair.next_minute(at_s=0.02)
    pair.postgres.restart()
    await pair.fired(minute)


async def monitors_die_and_stand_still_as_runs_end(pair: Pair) -> None:
    """Kill one monitor as runs report, and let the other stand still for longer than a lease."""
    first, second = pair.system.services["monitor"], pair.system.services["monitor-2"]
    minute = await pair.next_minute(at_s=0.2)
    first.end(signal.SIGKILL)
    await pair.fired(minute)
    first.start()
    minute = await pair.next_minute(at_s=0.2)
    begun = time.monotonic()
    with standing_still(second):
        await pair.fired(minute)
        await eventually(lambda: time.monotonic() > begun + TAKEOVER_S / 2, within=TAKEOVER_S)


async def all_runs(operator: Operator) -> list[Run]:
    found: list[Run] = []
    token = ""
    while True:
        page = await operator.client.list_runs(ListRunsQuery(page_size=500, page_token=token))
        found += page.runs
        token = page.next_page_token
        if not token:
            return found


async def all_runs_succeeded(operator: Operator) -> None:
    async def is_so() -> bool:
        try:
            found = await all_runs(operator)
        except UnavailableError:
            # It was started again a moment ago.
            return False
        return bool(found) and all(run.state == RUN_STATE_SUCCEEDED for run in found)

    await eventually(is_so, within=60)


async def assert_each_tick_fired_once(pair: Pair, operator: Operator) -> None:
    async with Database.open(pair.database_url) as database, database.read() as tx:
        assert await ticks.started(tx, InstigatorKind.SCHEDULE) == []
        rows = (await tx.execute(select(TICKS.c.instigator_id, TICKS.c.at, TICKS.c.run_ids))).all()
        ends = (
            await tx.execute(
                select(EVENTS.c.run_id, func.count().label("ends"))
                .where(EVENTS.c.kind == "run_succeeded")
                .group_by("run_id")
            )
        ).all()
    each = Counter((row.instigator_id, row.at) for row in rows)
    assert set(each.values()) == {1}
    for minute in pair.minutes:
        assert len([row for row in rows if row.at == minute]) == SCHEDULES, minute
    assert all(len(row.run_ids) == 1 for row in rows)
    found = await all_runs(operator)
    fired = Counter((run.tags["dagster/schedule_name"], run.tags["minute"]) for run in found)
    assert set(fired.values()) == {1}
    assert {run.request.run.run_id for run in found} == {run_id for row in rows for run_id in row.run_ids}
    assert {row.ends for row in ends} == {1}
    assert {row.run_id for row in ends} == {run.request.run.run_id for run in found}
