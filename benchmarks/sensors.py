"""Sensors: how exactly they keep their intervals, and how soon they act on an event."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any

from integration.control_plane_stand import SNAPSHOT, Stand, control_plane
from isthmus.v1 import telemetry_pb2 as pb
from isthmus.v1.instruction_pb2 import Instruction
from isthmus_broker.notices import Notice, NoticePublisher
from isthmus_broker.publisher import Publisher
from isthmus_store import event_index, events, ticks
from isthmus_store.state import InstigatorKind
from isthmus_store.table.automation import TICKS
from sqlalchemy import select
from support.eventually import eventually

from benchmarks import machine
from benchmarks.figure import Better, Figure, Measure, Result
from benchmarks.option import Options
from benchmarks.stand import Place, Servers, place

_GAPS, _EVENTS = 20, 40
_INTERVAL_S = 1.0
_ASSET = pb.AssetKey(path=["orders"])
_STATUS_CURSOR = '{"__class__": "RunStatusSensorCursor", "record_id": %d}'


def measure(servers: Servers, options: Options) -> Result:
    """Measure intervals and reactions on both databases."""
    figure = partial(Figure, unit="ms", better=Better.LOWER)
    figures: list[Figure] = []
    for name, is_sqlite in (("PostgreSQL", False), ("SQLite", True)):
        with place(servers, is_sqlite=is_sqlite) as at, machine.watched(at.loads, system="Isthmus"):
            late = asyncio.run(_gaps(at, count=options.scaled(_GAPS)))
        figures.append(figure(name=f"gap beyond the interval, {name}", isthmus=late, budget=100.0, budget_p99=100.0))
        for what, sensor in (("run", _on_runs()), ("asset", _on_asset())):
            with place(servers, is_sqlite=is_sqlite) as at, machine.watched(at.loads, system="Isthmus"):
                acted = asyncio.run(_reactions(at, sensor, count=options.scaled(_EVENTS)))
            row = f"{what} event stored to sensor asked, {name}"
            figures.append(figure(name=row, isthmus=acted, budget=200.0, budget_p99=200.0))
    notes = (
        f"Gaps: between the beginnings of ticks of a sensor with an interval of {_INTERVAL_S:g} s that has nothing to do.",
        "Events: from their commit to the arrival of the question at the agent, with the notice that tells of them between.",
        "Dagster's daemon looks every five seconds; its gaps at 30 s were 30.4 s (p50) and up to 38.2 s.",
    )
    return Result(benchmark="sensors", figures=tuple(figures), notes=notes)


class _Agent:
    """Answers each evaluation at once, and notes when it was asked."""

    def __init__(self) -> None:
        #: Where the sensor has looked up to, in its own form.
        self.cursor = ""
        self.asked: asyncio.Queue[float] = asyncio.Queue()

    def __call__(self, instruction: Instruction) -> pb.InstructionResult | None:
        if instruction.WhichOneof("body") != "evaluate_sensor":
            return None
        self.asked.put_nowait(time.perf_counter())
        answer = pb.SensorAnswer(skip_reason="-", cursor=self.cursor)
        return pb.InstructionResult(outcome=pb.InstructionResult.OUTCOME_SUCCEEDED, sensor=answer)


@asynccontextmanager
async def _standing(at: Place, sensor: pb.SensorSnapshot, agent: _Agent) -> AsyncIterator[Stand]:
    snapshot = pb.LocationSnapshot()
    snapshot.CopyFrom(SNAPSHOT)
    snapshot.sensors.append(sensor)
    async with control_plane(at.broker_url, at.database_url, sweep_interval_s=2.0) as stand:
        stand.snapshot = snapshot
        await stand.serve()
        async with stand.answering(agent):
            await agent.asked.get()
            yield stand


def _sensor(**fields: Any) -> pb.SensorSnapshot:
    target = pb.TargetSnapshot(job_name="nightly")
    return pb.SensorSnapshot(name="watcher", is_running_by_default=True, targets=[target], **fields)


def _on_runs() -> pb.SensorSnapshot:
    watch = pb.RunStatusWatch(status="STARTED", event_kind="run_started", is_everywhere=True)
    return _sensor(kind="run_status", run_status=watch, minimum_interval_s=3600)


def _on_asset() -> pb.SensorSnapshot:
    return _sensor(kind="asset", monitored_assets=[_ASSET], minimum_interval_s=3600)


async def _gaps(at: Place, *, count: int) -> Measure:
    async with _standing(at, _sensor(kind="standard", minimum_interval_s=_INTERVAL_S), _Agent()) as stand:
        found = await eventually(partial(_begun, stand, count=count + 1), within=count * _INTERVAL_S * 10, every=0.5)
    return Measure.of([(later - earlier - _INTERVAL_S) * 1e3 for earlier, later in pairwise(found)])


async def _begun(stand: Stand, *, count: int) -> list[float]:
    async with stand.database.read() as tx:
        rows = (await tx.execute(select(TICKS.c.began_at).order_by(TICKS.c.began_at))).scalars().all()
    return [at.timestamp() for at in rows[:count]] if len(rows) >= count else []


async def _reactions(at: Place, sensor: pb.SensorSnapshot, *, count: int) -> Measure:
    agent = _Agent()
    agent.cursor = _cursor(sensor, 0)
    async with _standing(at, sensor, agent) as stand, Publisher(stand.broker) as publisher:
        await publisher.wait_connected()
        notices = NoticePublisher(publisher)
        run = (await stand.launch()).request.run
        took_ms = []
        for _ in range(count):
            await eventually(partial(_is_at_rest, stand), within=30, every=0.05)
            while not agent.asked.empty():
                agent.asked.get_nowait()
            stored_at = await _store(stand, sensor, run_id=run.run_id, agent=agent)
            await notices.publish(Notice(runs=frozenset({run.run_id})))
            took_ms.append((await agent.asked.get() - stored_at) * 1e3)
    return Measure.of(took_ms)


async def _store(stand: Stand, sensor: pb.SensorSnapshot, *, run_id: str, agent: _Agent) -> float:
    """Store an event that the sensor looks at, as the monitor does; returns when it was there."""
    event = pb.Event(run=pb.RunRef(run_id=run_id, attempt=1))
    if sensor.kind == "asset":
        event.asset_materialized.asset.CopyFrom(_ASSET)
    else:
        event.run_started.SetInParent()
    async with stand.database.write() as tx:
        await events.append(tx, run_id, attempt=1, events=[events.new_event(event)], stored_at=datetime.now(UTC))
        agent.cursor = _cursor(sensor, await event_index.newest_id(tx))
    return time.perf_counter()


def _cursor(sensor: pb.SensorSnapshot, position: int) -> str:
    return str(position) if sensor.kind == "asset" else _STATUS_CURSOR % position


async def _is_at_rest(stand: Stand) -> bool:
    async with stand.database.read() as tx:
        return not await ticks.started(tx, InstigatorKind.SENSOR)
