"""The queue: what one look at it costs while 100,000 runs wait, blocked or about to leave, on both databases."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import RunRef
from isthmus_broker.publisher import Publisher
from isthmus_control_plane.commands.outbox import OutboxDispatcher
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching.dequeue import ROOM, Dequeuer
from isthmus_control_plane.dispatching.waits import Waits
from isthmus_control_plane.fleet.world import SyncMemory
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_control_plane.wake import WakeHub
from isthmus_store import agents, locations, placements, runs
from isthmus_store.database import Database
from isthmus_store.queue_line import Needs, line_name
from isthmus_store.record.agent import AgentHeard, NewAgent
from isthmus_store.record.location import PlacementReport, WantedLocation
from isthmus_store.record.run import NewRun
from isthmus_store.state import AgentState, LocationPhase
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import WriteTransaction

from benchmarks import machine
from benchmarks.figure import Better, Figure, Measure, Result
from benchmarks.option import Options
from benchmarks.stand import Place, Servers, place

DEPLOYMENT, AGENT = "default", "bench"
_WAITING = 100_000
_LOCATIONS = 20
_LOOKS = 40
_PORTION = 5_000
#: What the design promises of one look, milliseconds.
_BUDGET_MS = 50.0


def measure(servers: Servers, options: Options) -> Result:
    """Measure looks at a queue that is blocked, and at one of which half may leave."""

    def looks(*, is_sqlite: bool, serving: int) -> Measure:
        with place(servers, is_sqlite=is_sqlite) as at, machine.watched(at.loads, system="Isthmus"):
            return asyncio.run(_looks(at, waiting=options.scaled(_WAITING), serving=serving))

    row = partial(Figure, unit="ms", better=Better.LOWER, budget=_BUDGET_MS)
    figures = (
        row(name="all blocked, PostgreSQL", isthmus=looks(is_sqlite=False, serving=0)),
        row(name="all blocked, SQLite", isthmus=looks(is_sqlite=True, serving=0)),
        row(name=f"{ROOM} runs leave, PostgreSQL", isthmus=looks(is_sqlite=False, serving=_LOCATIONS // 2)),
        row(name=f"{ROOM} runs leave, SQLite", isthmus=looks(is_sqlite=True, serving=_LOCATIONS // 2)),
    )
    notes = (
        f"{options.scaled(_WAITING):,} runs wait for {_LOCATIONS} locations; every commit on the disk.",
        "A look reads the queue, decides, and writes runs, events and commands in one transaction.",
    )
    return Result(benchmark="queue", figures=figures, notes=notes)


async def _looks(at: Place, *, waiting: int, serving: int) -> Measure:
    async with _dequeuer(at, waiting=waiting, serving=serving) as dequeuer:
        await dequeuer.look()
        took_ms = []
        for _ in range(_LOOKS):
            began = time.perf_counter()
            await dequeuer.look()
            took_ms.append((time.perf_counter() - began) * 1e3)
        return Measure.of(took_ms)


@asynccontextmanager
async def _dequeuer(at: Place, *, waiting: int, serving: int) -> AsyncIterator[Dequeuer]:
    """The control plane's own part, over a database in which so many runs wait."""
    async with Database.open(at.database_url) as database:
        await database.migrate()
        async with database.write() as tx:
            await enroll(tx)
            for number in range(_LOCATIONS):
                await locate(tx, location_name(number), is_serving=number < serving)
        await _queue(database, waiting)
        settings = ControlPlaneSettings(broker_url=at.broker_url, database_url=at.database_url)
        core = Core(settings, database=database, hub=WakeHub())
        # Never entered: what leaves the queue stays in the outbox, which is measured elsewhere.
        dispatcher = OutboxDispatcher(core, publisher=Publisher(core.broker))
        yield Dequeuer(core, memory=SyncMemory(), dispatcher=dispatcher, waits=Waits())


async def enroll(tx: WriteTransaction) -> None:
    """Have an agent that is online."""
    now = datetime.now(UTC)
    new = NewAgent(deployment=DEPLOYMENT, name=AGENT, pool="default", broker_user="", created_at=now)
    await agents.insert(tx, new)
    heard = AgentHeard(
        deployment=DEPLOYMENT,
        name=AGENT,
        state=AgentState.ONLINE,
        heard_at=now,
        started_at=now,
        incarnation="bench",
        version="0",
        desired_revision=0,
        active_runs=(),
    )
    await agents.heard(tx, [heard])


async def locate(tx: WriteTransaction, name: str, *, is_serving: bool) -> None:
    """Have a location on it."""
    now = datetime.now(UTC)
    await locations.apply(tx, WantedLocation(deployment=DEPLOYMENT, name=name, pool="default", settings=b""), at=now)
    placed = await placements.place(tx, deployment=DEPLOYMENT, location=name, agent=AGENT, at=now)
    report = PlacementReport(
        generation=1,
        phase=LocationPhase.SERVING if is_serving else LocationPhase.IMPORTING,
        serving_generation=1 if is_serving else 0,
        failure=b"",
        snapshot_hash="",
        framework="",
        python_version="",
        reported_at=now,
    )
    await placements.save(tx, placements.reported(placed, report))


async def _queue(database: Database, waiting: int) -> None:
    """Let runs wait for each location in turn, the oldest first."""
    began = datetime.now(UTC) - timedelta(days=1)
    for start in range(0, waiting, _PORTION):
        numbers = range(start, min(start + _PORTION, waiting))
        rows = [_row(location_name(number % _LOCATIONS), began + timedelta(milliseconds=number)) for number in numbers]
        async with database.write() as tx:
            await tx.execute(RUNS.insert(), rows)


def _row(location: str, queued_at: datetime) -> dict[str, Any]:
    request = RunRequest(run=RunRef(run_id=str(uuid4()), attempt=1), location=location, job_name="job")
    new = NewRun(
        run_id=request.run.run_id,
        deployment=DEPLOYMENT,
        location=location,
        job_name="job",
        request=request.SerializeToString(),
        queued_at=queued_at,
        line=line_name(Needs(LocationKey(DEPLOYMENT, location)), keys=()),
    )
    queued = runs.as_queued(new)
    return {column.name: getattr(queued, column.name) for column in RUNS.c}


def location_name(number: int) -> str:
    """Name a location."""
    return f"location_{number:02}"
