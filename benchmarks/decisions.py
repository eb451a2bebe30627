"""Decisions: what the queue takes to give a freed slot away, to look at 100,000 runs, and to say why one waits."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import RunRef
from isthmus_broker.publisher import Publisher
from isthmus_control_plane.commands.outbox import OutboxDispatcher
from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.explanation import ExplanationDesk
from isthmus_control_plane.dispatching.dequeue import Dequeuer
from isthmus_control_plane.dispatching.ledger import NeedsMemory
from isthmus_control_plane.dispatching.rules import Rules
from isthmus_control_plane.dispatching.waits import Waits
from isthmus_control_plane.fleet.world import SyncMemory
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_control_plane.wake import WakeHub
from isthmus_store import queue_settings, run_search, runs
from isthmus_store.database import Database
from isthmus_store.queue_line import line_name, needs_of
from isthmus_store.queue_settings import NewSettings
from isthmus_store.record.run import NewRun
from isthmus_store.retry.follow import follow_up
from isthmus_store.signal import Failed, Succeeded
from isthmus_store.state import RunReason
from isthmus_store.table.run import RUN_TAGS, RUNS
from sqlalchemy import text

from benchmarks import machine
from benchmarks.figure import Better, Figure, Measure, Result
from benchmarks.option import Options
from benchmarks.queue import DEPLOYMENT, enroll, locate, location_name
from benchmarks.stand import Place, Servers, place

_LOCATIONS, _TEAMS, _PRIORITIES = 20, 5, 3
_SLOTS = 50
_TRIES = 200
_PORTION = 5_000
_LIMITS = api.QueueSettings(
    max_runs=_SLOTS,
    locations={location_name(number): 10 for number in range(_LOCATIONS)},
    tags=[api.TagLimit(key="team", per_value=True, limit=20)],
    pools=api.PoolLimits(limits={"warehouse": 5}),
)
_RULES = Rules.of(_LIMITS)


def measure(servers: Servers, options: Options) -> Result:
    """Measure the queue's decisions on both databases."""

    def rows(*, is_sqlite: bool) -> list[Figure]:
        name = "SQLite" if is_sqlite else "PostgreSQL"
        figure = partial(Figure, unit="ms", better=Better.LOWER)
        with place(servers, is_sqlite=is_sqlite) as at, machine.watched(at.loads, system="Isthmus"):
            freed, retried, why = asyncio.run(_with_some(at, waiting=options.scaled(10_000)))
        with place(servers, is_sqlite=is_sqlite) as at, machine.watched(at.loads, system="Isthmus"):
            look = asyncio.run(_with_many(at, waiting=options.scaled(100_000)))
        return [
            figure(name=f"freed slot to next run dispatched, {name}", isthmus=freed, budget=20.0),
            figure(name=f"failure stored to its retry dispatched, {name}", isthmus=retried, budget=100.0),
            figure(name=f"a look at all, {name}", isthmus=look, budget=50.0),
            figure(name=f"why a run waits, {name}", isthmus=why, budget=50.0),
        ]

    lines = _LOCATIONS * _TEAMS * _PRIORITIES * 2
    notes = (
        f"{options.scaled(10_000):,} runs wait, and {options.scaled(100_000):,} for the look, in {lines} lines.",
        f"{_SLOTS} slots; each location, each team and a pool are limited, too.",
        "A retry has a priority above all that wait; from the commit of the failure, with which it is queued.",
        "A freed slot: from the commit of its run's end to that of the next dispatch. The monitor's notice of it comes besides.",
    )
    return Result(benchmark="decisions", figures=(*rows(is_sqlite=False), *rows(is_sqlite=True)), notes=notes)


@dataclass(frozen=True)
class _Stand:
    database: Database
    dequeuer: Dequeuer
    desk: ExplanationDesk
    ids: list[str]


async def _with_some(at: Place, *, waiting: int) -> tuple[Measure, Measure, Measure]:
    async with _stand(at, waiting=waiting) as stand:
        await stand.dequeuer.step()
        freed = [await _freed(stand) for _ in range(_TRIES)]
        retried = [await _retried(stand) for _ in range(_TRIES)]
        random, asked = Random(1), []
        for _ in range(_TRIES):
            request = api.ExplainRunRequest(deployment=DEPLOYMENT, run_id=random.choice(stand.ids))
            began = time.perf_counter()
            await stand.desk.explain(request)
            asked.append((time.perf_counter() - began) * 1e3)
        return Measure.of(freed), Measure.of(retried), Measure.of(asked)


async def _with_many(at: Place, *, waiting: int) -> Measure:
    async with _stand(at, waiting=waiting) as stand:
        await stand.dequeuer.step()
        looks = []
        for _ in range(_TRIES // 4):
            began = time.perf_counter()
            await stand.dequeuer.look()
            looks.append((time.perf_counter() - began) * 1e3)
        return Measure.of(looks)


async def _freed(stand: _Stand) -> float:
    """End a run, and let the next one leave."""
    async with stand.database.write() as tx:
        running = await runs.active(tx)
        assert len(running) > _SLOTS // 4
        await runs.signal(tx, running[0].run_id, Succeeded(attempt=1), at=datetime.now(UTC))
    began = time.perf_counter()
    assert await stand.dequeuer.look(), "a slot was free, and nobody took it"
    took_s = time.perf_counter() - began
    # As in production: it looks until nobody leaves.
    await stand.dequeuer.step()
    return took_s * 1e3


async def _retried(stand: _Stand) -> float:
    """Let a run fail, and the one that follows it leave before all others."""
    async with stand.database.write() as tx:
        failing = (await runs.active(tx))[0]
        await run_search.add_tags(tx, failing.run_id, {"dagster/max_retries": "1000", "dagster/priority": "9"})
        at = datetime.now(UTC)
        killed = Failed(attempt=failing.attempt, reason=RunReason.PROCESS_KILLED)
        signaled = await runs.signal(tx, failing.run_id, killed, at=at)
        (failed,) = await follow_up(tx, [signaled.run], at=at)
    began = time.perf_counter()
    left = stand.dequeuer.pulse.total
    while stand.dequeuer.pulse.total == left:
        assert await stand.dequeuer.look(), "a retry waited, and did not leave"
    took_s = time.perf_counter() - began
    async with stand.database.read() as tx:
        retry = await runs.existing(tx, failed.retried_by or "")
    assert retry.dispatched_at is not None, "another run left before it"
    return took_s * 1e3


@asynccontextmanager
async def _stand(at: Place, *, waiting: int) -> AsyncIterator[_Stand]:
    async with Database.open(at.database_url) as database:
        await database.migrate()
        new = NewSettings(
            body=_LIMITS.SerializeToString(), is_limiting=True, changed_by="", changed_at=datetime.now(UTC)
        )
        async with database.write() as tx:
            await enroll(tx)
            for number in range(_LOCATIONS):
                await locate(tx, location_name(number), is_serving=True)
            await queue_settings.save(tx, DEPLOYMENT, new)
        ids = await _queue(database, waiting)
        core = Core(
            ControlPlaneSettings(broker_url=at.broker_url, database_url=at.database_url),
            database=database,
            hub=WakeHub(),
        )
        # Never entered: what leaves the queue stays in the outbox, which is measured elsewhere.
        dispatcher = OutboxDispatcher(core, publisher=Publisher(core.broker))
        memory, needs = SyncMemory(), NeedsMemory()
        dequeuer = Dequeuer(core, memory=memory, dispatcher=dispatcher, waits=Waits(), needs=needs)
        yield _Stand(database, dequeuer, ExplanationDesk(core, memory=memory, needs=needs), ids)


async def _queue(database: Database, waiting: int) -> list[str]:
    """Let runs wait, the oldest first, of every location, team and priority, with and without a pool."""
    random, began = Random(0), datetime.now(UTC) - timedelta(days=1)
    ids: list[str] = []
    for start in range(0, waiting, _PORTION):
        rows: list[dict[str, Any]] = []
        tags: list[dict[str, str]] = []
        for number in range(start, min(start + _PORTION, waiting)):
            new = _new_run(random, began + timedelta(milliseconds=number))
            queued = runs.as_queued(new)
            rows.append({column.name: getattr(queued, column.name) for column in RUNS.c})
            tags += [{"run_id": new.run_id, "key": key, "value": value} for key, value in new.tags.items()]
            ids.append(new.run_id)
        async with database.write() as tx:
            await tx.execute(RUNS.insert(), rows)
            await tx.execute(RUN_TAGS.insert(), tags)
    async with database.write() as tx:
        await tx.execute(text("ANALYZE"))
    return ids


def _new_run(random: Random, queued_at: datetime) -> NewRun:
    location = location_name(random.randrange(_LOCATIONS))
    request = RunRequest(
        run=RunRef(run_id=str(UUID(int=random.getrandbits(128), version=4)), attempt=1),
        location=location,
        job_name="job",
    )
    tags = {"team": f"team-{random.randrange(_TEAMS)}", "dagster/priority": str(random.randrange(_PRIORITIES))}
    pools = random.choice(((), ("warehouse",)))
    needs = needs_of(LocationKey(DEPLOYMENT, location), tags=tags, pools=pools, keys=_RULES.keys)
    return NewRun(
        run_id=request.run.run_id,
        deployment=DEPLOYMENT,
        location=location,
        job_name="job",
        request=request.SerializeToString(),
        queued_at=queued_at,
        tags=tags,
        line=line_name(needs, keys=_RULES.keys),
        pools=pools,
    )
