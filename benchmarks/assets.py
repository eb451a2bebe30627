"""Automation: what a quiet tick of many assets asks and takes, and how soon a materialization starts what is below it."""

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2 as pb
from isthmus.v1.code_server_pb2 import AttachRequest
from isthmus.v1.instance_pb2 import InstanceAnswer, InstanceQuery
from isthmus.v1.instruction_pb2 import CodeSource, RunRequest
from isthmus_client.errors import NotFoundError
from isthmus_code_server.definitions.instance_address import ADDRESS_VARIABLE
from isthmus_code_server.definitions.port import Definitions, SensorTick
from isthmus_code_server.runs.instance_gate import InstanceGate
from isthmus_control_plane.core import Core
from isthmus_control_plane.instance import asset_facts
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_control_plane.wake import WakeHub
from isthmus_store import event_index, event_numbers
from isthmus_store.database import Database
from isthmus_store.table.event import EVENT_INDEX, EVENTS
from isthmus_store.table.run import RUNS
from sqlalchemy import select
from support.eventually import eventually

from benchmarks import catalog, machine, telemetry
from benchmarks.figure import Better, Figure, Measure, Result
from benchmarks.option import Options
from benchmarks.stand import Place, Servers, Stand, place, running

_PROJECT = Path(__file__).resolve().parent / "assets_project"
_MANY, _SOME = 1_000, 50
_CATALOG, _PARTITIONS = 5_000, 1_000_000
_PAGE_P99_MS = 150.0
_QUIET, _MADE = 5, 20
#: Eager, and right below the root that is made.
_BELOW = pb.AssetKey(path=["a6"])
_LOCATION, _SENSOR = "assets", "automatic"


def measure(servers: Servers, options: Options) -> Result:
    """Measure a quiet tick, and how soon what is below an asset is queued, on both databases."""
    figures: list[Figure] = []
    count = options.scaled(_MANY)
    for name, is_sqlite in (("PostgreSQL", False), ("SQLite", True)):
        with place(servers, is_sqlite=is_sqlite) as at, machine.watched(at.loads, system="Isthmus"):
            asked, ours, theirs = asyncio.run(_quiet(at, count=count))
        questions = partial(Figure, unit="questions", better=Better.LOWER, budget=3.0)
        figures.append(questions(name=f"quiet tick of {count:,} assets, {name}", isthmus=asked))
        cpu = partial(Figure, unit="CPU ms", better=Better.LOWER, budget=1.2 * theirs.value)
        figures.append(cpu(name=f"quiet tick of {count:,} assets, {name}", isthmus=ours, dagster_default=theirs))
    for name, is_sqlite in (("PostgreSQL", False), ("SQLite", True)):
        with place(servers, is_sqlite=is_sqlite) as at, machine.watched(at.loads, system="Isthmus"):
            soon = asyncio.run(_below(at, count=options.scaled(_MADE)))
        figure = partial(Figure, unit="ms", better=Better.LOWER, budget=500.0)
        figures.append(figure(name=f"materialization stored to run below it queued, {name}", isthmus=soon))
    notes = (
        "CPU: of the thread that evaluates, beside Dagster's own evaluation of the same graph on an instance in memory.",
        f"Below: an eager asset of a location of {_SOME}; Dagster's daemon looks every 30 seconds.",
    )
    return Result(benchmark="assets", figures=tuple(figures), notes=notes)


def _of_catalog(servers: Servers, options: Options) -> Iterator[Figure]:
    assets, partitions = options.scaled(_CATALOG), options.scaled(_PARTITIONS)
    for name, is_sqlite in (("PostgreSQL", False), ("SQLite", True)):
        with place(servers, is_sqlite=is_sqlite) as at, machine.watched(at.loads, system="Isthmus"):
            found = catalog.measure(at, assets=assets, partitions=partitions)
        for size, took in found.items():
            title = f"page of {size} of {assets:,} assets, {partitions:,} partitions, {name}"
            yield Figure(
                name=title, unit="ms", better=Better.LOWER, isthmus=took, budget=_PAGE_P99_MS, budget_p99=_PAGE_P99_MS
            )


def _of_ingest(servers: Servers, options: Options) -> Iterator[Figure]:
    for name, is_sqlite in (("PostgreSQL", False), ("SQLite", True)):
        stored = telemetry.stored_of_assets(servers, options, is_sqlite=is_sqlite)
        budget = None if is_sqlite else 30_000.0
        title = f"events stored of runs that make assets, {name}"
        yield Figure(name=title, unit="events/s", better=Better.HIGHER, isthmus=stored, budget=budget)


# ---------------------------------------------------------------------------------------------------------- quiet ticks


async def _quiet(at: Place, *, count: int) -> tuple[Measure, Measure, Measure]:
    """Return questions and CPU of quiet ticks, and Dagster's CPU."""
    os.environ["BENCH_ASSETS"] = str(count)
    definitions, repository = _load(at.folder)
    async with Database.open(at.database_url) as database:
        await database.migrate()
        async with database.write() as tx:
            for number in range(count):
                event = pb.Event(asset_materialized=pb.AssetMaterialized(asset=pb.AssetKey(path=[f"a{number}"])))
                await event_index.add_runless(tx, event, deployment="default", at=datetime.now(UTC))
        gate, asked = InstanceGate(address=f"@isthmus-bench-{uuid.uuid4().hex}"), list[InstanceQuery]()
        os.environ[ADDRESS_VARIABLE] = gate.address
        async with gate.listening(), _answered(gate, partial(_answer, database), asked=asked):
            cursor, _ = await asyncio.to_thread(_evaluate, definitions, "")
            ours, questions = [], []
            for _ in range(_QUIET):
                del asked[:]
                cursor, took_ms = await asyncio.to_thread(_evaluate, definitions, cursor)
                ours.append(took_ms)
                questions.append(float(len(asked)))
    theirs = await asyncio.to_thread(_dagster, repository, count)
    return Measure.of(questions), Measure.of(ours), Measure.of(theirs)


def _load(folder: Path) -> tuple[Definitions, Any]:
    from isthmus_code_server.definitions.dagster.loading import find_repositories, load_definitions
    from isthmus_code_server.definitions.source import DefinitionsSource

    source = DefinitionsSource(python_file=str(_PROJECT / "automated.py"), working_directory=str(_PROJECT))
    here = Path.cwd()
    try:
        return load_definitions(source, folder / "home"), find_repositories(source)[0].repository
    finally:
        os.chdir(here)


def _evaluate(definitions: Definitions, cursor: str) -> tuple[str, float]:
    began = time.thread_time()
    answer = definitions.evaluate_sensor(_SENSOR, tick=SensorTick(cursor=cursor))
    return answer.cursor, (time.thread_time() - began) * 1e3


def _dagster(repository: Any, count: int) -> list[float]:
    """Let Dagster evaluate the same; returns what quiet ticks took, CPU milliseconds."""
    import dagster as dg
    from dagster._core.definitions.automation_tick_evaluation_context import AutomationTickEvaluationContext
    from dagster._daemon.asset_daemon import (
        asset_daemon_cursor_from_instigator_serialized_cursor,
        asset_daemon_cursor_to_instigator_serialized_cursor,
    )

    sensor, graph, text, took = repository.get_sensor_def(_SENSOR), repository.asset_graph, None, []
    with dg.DagsterInstance.ephemeral() as instance:
        for number in range(count):
            instance.report_runless_asset_event(dg.AssetMaterialization(f"a{number}"))
        for _ in range(1 + _QUIET):
            began = time.thread_time()
            cursor = asset_daemon_cursor_from_instigator_serialized_cursor(text, graph)
            evaluate: Any = AutomationTickEvaluationContext
            _, after, _ = evaluate(
                evaluation_id=cursor.evaluation_id + 1,
                instance=instance,
                asset_graph=graph,
                cursor=cursor,
                materialize_run_tags={},
                observe_run_tags={},
                auto_observe_asset_keys=set(),
                asset_selection=sensor.asset_selection,
                logger=_silent(),
                emit_backfills=False,
            ).evaluate()
            text = asset_daemon_cursor_to_instigator_serialized_cursor(after)
            took.append((time.thread_time() - began) * 1e3)
    return took[1:]


def _silent() -> Any:
    import logging

    logger = logging.getLogger("bench.silent")
    logger.setLevel(logging.CRITICAL)
    return logger


async def _answer(database: Database, query: InstanceQuery) -> InstanceAnswer:
    settings = ControlPlaneSettings(broker_url="amqp://nowhere", database_url="sqlite:///nowhere")
    core = Core(settings, database=database, hub=WakeHub())
    async with database.read() as tx:
        await event_numbers.hold_still(tx)
        found = await asset_facts.find(tx, "default", query.asset_facts, core=core)
    return InstanceAnswer(query_id=query.id, asset_facts=found)


@asynccontextmanager
async def _answered(
    gate: InstanceGate,
    answer: Callable[[InstanceQuery], Awaitable[InstanceAnswer]],
    *,
    asked: list[InstanceQuery],
) -> AsyncIterator[None]:
    """Take an agent's place."""
    said: asyncio.Queue[InstanceAnswer] = asyncio.Queue()

    async def requests() -> AsyncIterator[AttachRequest]:
        while True:
            yield AttachRequest(answer=await said.get())

    async def attend() -> None:
        async for response in gate.attach(requests()):
            asked.append(response.query)
            said.put_nowait(await answer(response.query))

    async with asyncio.TaskGroup() as tasks:
        attending = tasks.create_task(attend())
        yield
        attending.cancel()


# ----------------------------------------------------------------------------------------------------------- what is below


async def _below(at: Place, *, count: int) -> Measure:
    """Make a root again and again, and tell how long after its event the run of what is below it is queued."""
    async with running(at, agent_environment={"BENCH_ASSETS": str(_SOME)}) as stand:
        source = CodeSource(python_file=str(_PROJECT / "automated.py"), working_directory=str(_PROJECT))
        await stand.operator.apply(_LOCATION, source)
        ref = api.AutomationRef(kind=api.AUTOMATION_KIND_SENSOR, name=_SENSOR)

        async def has_begun() -> bool:
            # The control plane that leads may not have seen yet what the location defines.
            with suppress(NotFoundError):
                return bool((await stand.client.list_ticks(ref)).ticks)
            return False

        await eventually(has_begun, within=60)
        async with Database.open(at.database_url) as database:
            return Measure.of([await _one(stand, database) for _ in range(count)])


async def _one(stand: Stand, database: Database) -> float:
    made = await stand.operator.launch(_LOCATION, "", asset_selection=[{"path": ["a1"]}])
    await stand.finish(made)

    async def look() -> float | None:
        async with database.read() as tx:
            there = EVENT_INDEX.join(
                EVENTS, (EVENTS.c.run_id == EVENT_INDEX.c.run_id) & (EVENTS.c.position == EVENT_INDEX.c.position)
            )
            stored = select(EVENTS.c.stored_at).select_from(there)
            stored = stored.where(EVENT_INDEX.c.run_id == made, EVENT_INDEX.c.kind == "asset_materialized")
            at = (await tx.execute(stored)).scalar_one()
            queued = select(RUNS.c.run_id, RUNS.c.queued_at, RUNS.c.request).where(RUNS.c.queued_at > at)
            after = (await tx.execute(queued.order_by(RUNS.c.queued_at))).all()
        # What is below that is queued in its turn.
        found = next((it for it in after if _BELOW in RunRequest.FromString(it.request).asset_selection), None)
        if found is None:
            return None
        await stand.finish(found.run_id)
        return float((found.queued_at - at).total_seconds() * 1e3)

    took_ms = await eventually(look, within=60, every=0.1)
    assert took_ms is not None
    return took_ms
