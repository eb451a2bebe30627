"""What a control plane keeps of the queue between its looks, while another one works on the same rows."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from isthmus.v1.control_plane_pb2 import QueueSettings, TagLimit
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import RunRef
from isthmus_broker.publisher import Publisher
from isthmus_control_plane.commands.outbox import OutboxDispatcher
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching.dequeue import Dequeuer
from isthmus_control_plane.dispatching.rules import Rules
from isthmus_control_plane.dispatching.waits import Waits
from isthmus_control_plane.fleet.world import SyncMemory
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_control_plane.wake import WakeHub
from isthmus_store import agents, locations, placements, queue_settings, runs
from isthmus_store.database import Database
from isthmus_store.queue_line import line_name, needs_of
from isthmus_store.queue_settings import NewSettings
from isthmus_store.record.agent import AgentHeard, NewAgent
from isthmus_store.record.location import PlacementReport, WantedLocation
from isthmus_store.record.run import NewRun, Run
from isthmus_store.signal import CancelRequested, Succeeded
from isthmus_store.state import AgentState, LocationPhase, RunState
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import WriteTransaction
from sqlalchemy import Engine, event, select

NOW = datetime(2030, 5, 17, 12, tzinfo=UTC)
SLOTS = 6
LIMITS = QueueSettings(max_runs=SLOTS, tags=[TagLimit(key="customer", per_value=True, limit=SLOTS)])
KEYS = Rules.of(LIMITS).keys
PLACES = ("etl", "ml")


class House:
    """Two control planes' queues over one database, and what happens to its runs."""

    def __init__(self, database: Database, *, broker_url: str, seed: int) -> None:
        self.database = database
        self.random = Random(seed)
        self.made = 0
        settings = ControlPlaneSettings(broker_url=broker_url, database_url="sqlite:///unused.db")
        self.queues = [self._queue(Core(settings, database=database, hub=WakeHub())) for _ in range(2)]

    def _queue(self, core: Core) -> Dequeuer:
        # Never entered: what leaves the queue stays in the outbox.
        dispatcher = OutboxDispatcher(core, publisher=Publisher(core.broker))
        return Dequeuer(core, memory=SyncMemory(), dispatcher=dispatcher, waits=Waits())

    async def launch(self, count: int) -> None:
        async with self.database.write() as tx:
            for _ in range(count):
                self.made += 1
                await runs.insert(tx, self._new())

    def _new(self) -> NewRun:
        place = LocationKey("default", self.random.choice(PLACES))
        tags = {"customer": str(self.random.randrange(4)), "dagster/priority": str(self.random.randrange(2))}
        needs = needs_of(place, tags=tags, pools=(), keys=KEYS)
        run_id = str(UUID(int=self.random.getrandbits(128), version=4))
        return NewRun(
            run_id=run_id,
            deployment="default",
            location=place.name,
            job_name="job",
            request=RunRequest(run=RunRef(run_id=run_id, attempt=1), job_name="job").SerializeToString(),
            queued_at=NOW + timedelta(seconds=self.made),
            tags=tags,
            line=line_name(needs, keys=KEYS),
        )

    async def end(self, share: float) -> None:
        async with self.database.write() as tx:
            for run in await runs.active(tx):
                if self.random.random() < share:
                    await runs.signal(tx, run.run_id, Succeeded(attempt=1), at=NOW)

    async def end_one(self) -> None:
        async with self.database.write() as tx:
            run = (await runs.active(tx))[0]
            await runs.signal(tx, run.run_id, Succeeded(attempt=1), at=NOW)

    async def cancel(self, count: int) -> None:
        """End some that wait, the first of their lines among them."""
        waiting = sorted(await self.rows(RunState.QUEUED), key=lambda run: run.queued_at)
        async with self.database.write() as tx:
            for run in self.random.sample(waiting[: 2 * count], min(count, len(waiting))):
                await runs.signal(tx, run.run_id, CancelRequested(), at=NOW)

    async def rows(self, *states: RunState) -> list[Run]:
        async with self.database.read() as tx:
            return await tx.all(Run, select(RUNS).where(RUNS.c.state.in_(states)))


@asynccontextmanager
async def house(database_url: str, *, broker_url: str, seed: int) -> AsyncIterator[House]:
    async with Database.open(database_url) as database:
        await database.migrate()
        async with database.write() as tx:
            await serve(tx)
            new = NewSettings(body=LIMITS.SerializeToString(), is_limiting=True, changed_by="", changed_at=NOW)
            await queue_settings.save(tx, "default", new)
        yield House(database, broker_url=broker_url, seed=seed)


async def serve(tx: WriteTransaction) -> None:
    new = NewAgent(deployment="default", name="alpha", pool="default", broker_user="", created_at=NOW)
    await agents.insert(tx, new)
    heard = AgentHeard(
        deployment="default",
        name="alpha",
        state=AgentState.ONLINE,
        heard_at=NOW,
        started_at=NOW,
        incarnation="first",
        version="0",
        desired_revision=0,
        active_runs=(),
    )
    await agents.heard(tx, [heard])
    for name in PLACES:
        await locations.apply(tx, WantedLocation(deployment="default", name=name, pool="default", settings=b""), at=NOW)
        placed = await placements.place(tx, deployment="default", location=name, agent="alpha", at=NOW)
        report = PlacementReport(
            generation=1,
            phase=LocationPhase.SERVING,
            serving_generation=1,
            failure=b"",
            snapshot_hash="",
            framework="",
            python_version="",
            reported_at=NOW,
        )
        await placements.save(tx, placements.reported(placed, report))


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_is_kept_of_the_queue_changes_nothing_about_who_leaves_it(
    database_url: str, broker_url: str, seed: int
) -> None:
    async with house(database_url, broker_url=broker_url, seed=seed) as it:
        for _ in range(15):
            await it.launch(it.random.randrange(6))
            await it.end(it.random.choice((0.2, 0.6, 1.0)))
            await it.cancel(it.random.randrange(3))
            before = {run.run_id: run for run in await it.rows(RunState.QUEUED)}
            # Whichever looks: the other's picture of the lines grows old meanwhile.
            await it.random.choice(it.queues).step()
            running = await it.rows(RunState.DISPATCHED)
            stayed = await it.rows(RunState.QUEUED)
            left = [before[run.run_id] for run in running if run.run_id in before]
            assert len(running) == min(SLOTS, len(running) + len(stayed)), "no slot stays free while a run waits"
            assert _first(left, stayed)


def _first(left: list[Run], stayed: list[Run]) -> bool:
    """Whether those that left were of the largest priorities, and of each location and priority the oldest."""

    def rank(run: Run) -> str:
        return run.line.split("/")[0]

    worst = max((rank(run) for run in left), default="")
    assert all(rank(run) >= worst for run in stayed)
    for run in left:
        behind = [it for it in stayed if (it.location, rank(it)) == (run.location, rank(run))]
        assert all(run.queued_at < it.queued_at for it in behind)
    return True


async def test_two_that_look_at_once_let_no_more_leave_than_there_is_room_for(
    database_url: str, broker_url: str
) -> None:
    async with house(database_url, broker_url=broker_url, seed=4) as it:
        await it.launch(40)
        for _ in range(4):
            async with asyncio.TaskGroup() as looking:
                for queue in it.queues:
                    looking.create_task(queue.step())
            assert len(await it.rows(RunState.DISPATCHED)) == SLOTS
            await it.end(0.7)
            async with asyncio.TaskGroup() as looking:
                for queue in it.queues:
                    looking.create_task(queue.look())
            assert len(await it.rows(RunState.DISPATCHED)) <= SLOTS


#: What a look asks the database of which nobody leaves: the lines, the fleet, and what is limited, paused and taken.
LOOK = 3
#: The same, and the runs at the head of the line of which one leaves.
CHOICE = LOOK + 1
#: What lets runs leave: the lock, what is limited and taken now, the runs, their states, and all else of them in one.
DEPARTURE = 5
#: On SQLite, where nothing lies between, there is no lock, but a statement for attempts, events, their index and commands.
DEPARTURE_ON_SQLITE = 7


async def test_a_look_asks_no_more_than_it_must(database_url: str, broker_url: str) -> None:
    async with house(database_url, broker_url=broker_url, seed=5) as it:
        await it.launch(40)
        queue = it.queues[0]
        await queue.step()
        with counted() as statements:
            assert not await queue.look()
        assert len(statements) <= LOOK, statements
        await it.end_one()
        with counted() as statements:
            assert await queue.look()
        assert len(statements) <= CHOICE + (DEPARTURE if it.database.is_postgresql else DEPARTURE_ON_SQLITE), statements


@contextmanager
def counted() -> Iterator[list[str]]:
    """Note what any database is asked, but for what begins and ends transactions."""
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *others: object) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)
