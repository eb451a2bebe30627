"""Telemetry: events per second that the monitor takes from the broker and stores durably."""

import asyncio
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from isthmus.v1 import telemetry_pb2 as pb
from isthmus_broker.declaring import declare, declare_agent
from isthmus_broker.publisher import Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TelemetryKind
from isthmus_store import agents, runs
from isthmus_store.column import from_microseconds
from isthmus_store.database import Database
from isthmus_store.record.agent import NewAgent
from isthmus_store.record.run import NewRun
from isthmus_store.table.event import EVENTS
from isthmus_store.table.run import RUNS
from sqlalchemy import func, select
from support.system import Service

from benchmarks import machine
from benchmarks.figure import Better, Figure, Measure, Result
from benchmarks.option import Options
from benchmarks.peer.servers import DEFAULT, PROGRAMS, environment, instance
from benchmarks.stand import Place, Servers, place

_DEPLOYMENT, _AGENT, _LOCATION = "default", "bench", "bench"
_RUNS = 40
#: Events of one batch: what gathers while the batch before it is confirmed.
_BATCH = 100
#: What a run of a single op sends at a time.
_SMALL_BATCH = 5
_EVENTS = 100_000
_FEW_EVENTS = 20_000
_TIMEOUT_S = 300.0
_POLL_S = 0.05
_PEER_SCRIPT = Path(__file__).resolve().parent / "peer" / "write_events.py"


@dataclass(frozen=True)
class Load:
    """What is published."""

    events: int
    batch: int
    #: Makes an event of a run, by its number.
    event: Callable[[str, int], pb.Event]


def measure(servers: Servers, options: Options) -> Result:
    """Measure the monitor on both databases, then Dagster's event log on both."""
    many, small = (
        Load(options.scaled(_EVENTS), _BATCH, _event),
        Load(options.scaled(_FEW_EVENTS), _SMALL_BATCH, _event),
    )
    backlog = partial(_stored, servers)

    def live(load: Load, *, is_sqlite: bool) -> Measure:
        with place(servers, is_sqlite=is_sqlite) as at, machine.watched(at.loads, system="Isthmus"):
            return asyncio.run(_live(at, load))

    row = partial(Figure, unit="events/s", better=Better.HIGHER)
    on_postgresql, on_sqlite = (_peer(servers, options, is_sqlite=is_sqlite) for is_sqlite in (False, True))
    figures = (
        row(
            name="stored, PostgreSQL",
            isthmus=backlog(many, is_sqlite=False),
            dagster_default=on_postgresql,
            budget=20_000,
        ),
        row(name="stored, SQLite", isthmus=backlog(many, is_sqlite=True), dagster_default=on_sqlite, budget=10_000),
        row(name=f"in batches of {_SMALL_BATCH}, PostgreSQL", isthmus=backlog(small, is_sqlite=False)),
        row(name=f"in batches of {_SMALL_BATCH}, SQLite", isthmus=backlog(small, is_sqlite=True)),
        row(name="published and stored at once, PostgreSQL", isthmus=live(many, is_sqlite=False)),
        row(name="published and stored at once, SQLite", isthmus=live(many, is_sqlite=True)),
    )
    notes = (
        f"Batches of {_BATCH} events of {_RUNS} runs where nothing else is said; every commit on the disk.",
        "The publisher, the broker, the monitor and the database share the machine. Dagster: handle_new_event.",
    )
    return Result(benchmark="telemetry", figures=figures, notes=notes)


def stored_of_assets(servers: Servers, options: Options, *, is_sqlite: bool) -> Measure:
    """Measure how many events of runs that make assets the monitor stores in a second, with the rows of these assets."""
    return _stored(servers, Load(options.scaled(_EVENTS), _BATCH, _event_of_assets), is_sqlite=is_sqlite)


def _stored(servers: Servers, load: Load, *, is_sqlite: bool) -> Measure:
    with place(servers, is_sqlite=is_sqlite) as at, machine.watched(at.loads, system="Isthmus"):
        return asyncio.run(_backlog(at, load))


async def _backlog(at: Place, load: Load) -> Measure:
    """Let the monitor take what waits in its queue."""
    run_ids = await _prepare(at)
    published = await _publish(at, load, run_ids)
    with _monitor(at):
        ended = await _all_stored(at, published)
        return _rate(published, began=await _first_stored(at), ended=ended)


async def _live(at: Place, load: Load) -> Measure:
    """Publish while the monitor stores."""
    run_ids = await _prepare(at)
    with _monitor(at):
        # The monitor is at work before what counts is published.
        warm = await _publish(at, replace(load, events=_RUNS, batch=1), run_ids)
        await _all_stored(at, warm)
        began = time.time()
        published = await _publish(at, load, run_ids, after=1)
        return _rate(published, began=began, ended=await _all_stored(at, warm + published))


def _rate(events: int, *, began: float, ended: float) -> Measure:
    return Measure(value=events / (ended - began), samples=events)


async def _prepare(at: Place) -> list[str]:
    """Make what the monitor has to know: the agent, and runs that were dispatched to it."""
    broker = BrokerSettings(url=at.broker_url)
    await declare(broker, monitor_shards=1)
    await declare_agent(broker, deployment=_DEPLOYMENT, agent=_AGENT)
    now = datetime.now(UTC)
    run_ids = [str(uuid.uuid4()) for _ in range(_RUNS)]
    async with Database.open(at.database_url) as database:
        await database.migrate()
        async with database.write() as tx:
            agent = NewAgent(deployment=_DEPLOYMENT, name=_AGENT, pool="default", broker_user="", created_at=now)
            await agents.insert(tx, agent)
            for run_id in run_ids:
                run = NewRun(
                    run_id=run_id,
                    deployment=_DEPLOYMENT,
                    location=_LOCATION,
                    job_name="job",
                    request=b"",
                    queued_at=now,
                )
                await runs.insert_dispatched(tx, run, runs.Dispatching(agent=_AGENT, at=now, history=()))
    return run_ids


async def _publish(at: Place, load: Load, run_ids: Sequence[str], *, after: int = 0) -> int:
    """Publish as code servers do: in order, and for each run one batch at a time; returns how many events."""
    each = load.events // len(run_ids)
    source = pb.Source(deployment=_DEPLOYMENT, agent=_AGENT, location=_LOCATION, generation=1, incarnation="bench")
    async with Publisher(BrokerSettings(url=at.broker_url)) as publisher:
        await publisher.wait_connected()
        telemetry = TelemetryPublisher(publisher, source=source)

        async def publish(run_id: str) -> None:
            for first in range(after, after + each, load.batch):
                last = min(first + load.batch, after + each)
                events = [load.event(run_id, seq) for seq in range(first + 1, last + 1)]
                await telemetry.publish(TelemetryKind.RUN, events)

        async with asyncio.TaskGroup() as tasks:
            for run_id in run_ids:
                tasks.create_task(publish(run_id))
    return each * len(run_ids)


def _event(run_id: str, seq: int) -> pb.Event:
    """Return an event of the mix that runs tell: a quarter log lines, the rest of steps and their outputs."""
    event = pb.Event(run=pb.RunRef(run_id=run_id, attempt=1), seq=seq, step_key=f"step_{seq // 4}")
    event.occurred_at.GetCurrentTime()
    match seq % 4:
        case 0:
            event.step_started.SetInParent()
            event.message = f'Started execution of step "step_{seq // 4}".'
        case 1:
            event.message = f"Loaded {seq} rows from the warehouse in 0.42 s"
            event.log_message.level = 20
        case 2:
            event.step_output.output_name = "result"
            event.step_output.is_type_check_ok = True
            event.message = 'Yielded output "result" of type "Any". (Type check passed).'
        case _:
            event.step_succeeded.SetInParent()
            event.message = f'Finished execution of step "step_{seq // 4}" in 12ms.'
    return event


def _event_of_assets(run_id: str, seq: int) -> pb.Event:
    """Return an event of the mix that runs tell which make partitions: of eight one plans an asset, and one has made it."""
    number, place = divmod(seq, 8)
    key, partition = pb.AssetKey(path=["shop", f"asset_{number % 50}"]), f"2026-{number // 50:05}"
    event = _event(run_id, seq)
    if place == 0:
        event.asset_planned.CopyFrom(pb.AssetPlanned(asset=key, partition=partition))
    elif place == 1:
        event.asset_materialized.CopyFrom(pb.AssetMaterialized(asset=key, partition=partition))
        event.asset_materialized.metadata.add(label="rows").value.int = seq
        event.asset_materialized.tags["dagster/data_version"] = f"{seq:064}"
    return event


@contextmanager
def _monitor(at: Place) -> Iterator[None]:
    environment = {"ISTHMUS_BROKER_URL": at.broker_url, "ISTHMUS_DATABASE_URL": at.database_url}
    monitor = Service("monitor", environment, at.folder / "monitor.log")
    monitor.start()
    try:
        yield
    finally:
        monitor.end()


async def _all_stored(at: Place, count: int) -> float:
    """Wait until so many events are stored; returns when, in seconds since 1970."""
    async with Database.open(at.database_url) as database, asyncio.timeout(_TIMEOUT_S):
        while True:
            async with database.read() as tx:
                stored = (await tx.execute(select(func.sum(RUNS.c.last_position)))).scalar_one()
            if stored >= count:
                return time.time()
            await asyncio.sleep(_POLL_S)


async def _first_stored(at: Place) -> float:
    """Return when the monitor began to store."""
    async with Database.open(at.database_url) as database, database.read() as tx:
        first = (await tx.execute(select(func.min(EVENTS.c.stored_at)))).scalar_one()
    return (first if isinstance(first, datetime) else from_microseconds(first)).timestamp()


def _peer(servers: Servers, options: Options, *, is_sqlite: bool) -> Measure | None:
    if not options.has_peer:
        return None
    with (
        instance(servers, setup=DEFAULT, is_sqlite=is_sqlite) as home,
        machine.watched(servers.loads, system="Dagster default"),
    ):
        command = [str(PROGRAMS / "python"), str(_PEER_SCRIPT)]
        done = subprocess.run(
            command, env={**os.environ, **environment(home)}, stdout=subprocess.PIPE, check=True, timeout=_TIMEOUT_S
        )
    count, seconds = done.stdout.decode().split()
    return Measure(value=int(count) / float(seconds), samples=int(count))
