"""Schedules: how late a lone one is, and what becomes of a thousand that are due at the same minute."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

from integration.control_plane_stand import SNAPSHOT, Stand, control_plane
from isthmus.v1.control_plane_pb2 import QueueSettings
from isthmus.v1.instruction_pb2 import CodeSource, Instruction
from isthmus.v1.telemetry_pb2 import InstructionResult, LocationSnapshot, ScheduleAnswer, ScheduleSnapshot
from isthmus_control_plane import clock
from isthmus_store.database import Database
from isthmus_store.table.automation import INSTIGATORS, TICKS
from sqlalchemy import func, select
from support.eventually import eventually

from benchmarks import machine
from benchmarks.figure import Better, Figure, Measure, Result
from benchmarks.option import Options
from benchmarks.stand import PROJECT, Place, Servers, place, running

_SCHEDULES = 1_000
_TIMES = 50
_NOON = datetime(2030, 5, 17, 12, tzinfo=UTC)
#: The clock is set so long before each time that is measured: longer than any sleep that was begun by the old one.
_AHEAD = timedelta(seconds=2.1)


def measure(servers: Servers, options: Options) -> Result:
    """Measure a lone schedule on both databases, and a thousand on PostgreSQL."""
    figure = partial(Figure, unit="ms", better=Better.LOWER)
    figures: list[Figure] = []
    for name, is_sqlite in (("PostgreSQL", False), ("SQLite", True)):
        with place(servers, is_sqlite=is_sqlite) as at, machine.watched(at.loads, system="Isthmus"):
            asked = asyncio.run(_lone(at, times=options.scaled(_TIMES)))
        figures.append(figure(name=f"lone schedule: due to asked, {name}", isthmus=asked, budget=50.0, budget_p99=50.0))
        with place(servers, is_sqlite=is_sqlite) as at, machine.watched(at.loads, system="Isthmus"):
            begun, queued = asyncio.run(_many(at, schedules=options.scaled(_SCHEDULES)))
        figures.append(
            figure(name=f"{options.scaled(_SCHEDULES):,} due at once: begun, {name}", isthmus=begun, budget=200.0)
        )
        figures.append(figure(name=f"the same: run queued, {name}", isthmus=queued, budget=10_000.0))
    notes = (
        "Lone: from the time to the arrival of the question at the agent, over a real broker and to the control plane's clock.",
        "Begun: the tick is written down. Queued: its function was evaluated in a process of its own, and its run waits in the queue.",
        "Dagster's daemon evaluates one after another by default, 0.5 CPU seconds each, once a minute.",
    )
    return Result(benchmark="schedules", figures=tuple(figures), notes=notes)


class _Clock:
    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def set(self, at: datetime) -> None:
        self.ahead = at - datetime.now(UTC)


async def _lone(at: Place, *, times: int) -> Measure:
    time, late_ms = _Clock(), asyncio.Queue[float]()
    time.set(_NOON)

    def answer(question: Instruction) -> InstructionResult | None:
        if question.WhichOneof("body") != "evaluate_schedule":
            return None
        due = clock.moment(question.evaluate_schedule.scheduled_at)
        late_ms.put_nowait((time() - due).total_seconds() * 1e3)
        return InstructionResult(outcome=InstructionResult.OUTCOME_SUCCEEDED, schedule=ScheduleAnswer(skip_reason="-"))

    snapshot = LocationSnapshot()
    snapshot.CopyFrom(SNAPSHOT)
    snapshot.schedules.append(
        ScheduleSnapshot(name="lone", job_name="nightly", cron_schedules=["* * * * *"], is_running_by_default=True)
    )
    with clock.set_to(time):
        async with control_plane(at.broker_url, at.database_url, sweep_interval_s=2.0) as stand:
            stand.snapshot = snapshot
            await stand.serve()
            await eventually(partial(_is_known, stand), within=30)
            async with stand.answering(answer):
                return await _measured(time, late_ms, times=times)


async def _measured(time: _Clock, late_ms: "asyncio.Queue[float]", *, times: int) -> Measure:
    found = []
    for number in range(1, times + 1):
        # Its timer knows the time to come: what it sleeps until then is what is measured.
        time.set(_NOON + timedelta(minutes=number) - _AHEAD)
        found.append(await late_ms.get())
    return Measure.of(found)


async def _is_known(stand: Stand) -> bool:
    async with stand.database.read() as tx:
        return bool((await tx.execute(select(func.count()).select_from(INSTIGATORS))).scalar_one())


async def _many(at: Place, *, schedules: int) -> tuple[Measure, Measure]:
    """Let a thousand be due; returns how long after their minute ticks were begun, and ended."""
    source = CodeSource(python_file=str(PROJECT / "thousand.py"), working_directory=str(PROJECT))
    async with running(at) as stand:
        # What the runs themselves take is not the schedules'.
        await stand.client.set_queue_settings(QueueSettings(max_runs=0))
        await stand.operator.apply("thousand", source, env={"BENCH_SCHEDULES": str(schedules)})
        async with Database.open(at.database_url) as database:
            minute = await eventually(partial(_whole_minute, database, schedules=schedules), within=60, every=0.5)
            async with database.read() as tx:
                rows = (await tx.execute(select(TICKS).where(TICKS.c.at == minute))).all()
    begun = [(row.began_at - minute).total_seconds() * 1e3 for row in rows]
    ended = [(row.ended_at - minute).total_seconds() * 1e3 for row in rows]
    return Measure.of(begun), Measure(value=max(ended), samples=len(ended), details=Measure.of(ended).details)


async def _whole_minute(database: Database, *, schedules: int) -> datetime | None:
    """Return the first minute of which all ticks ended."""
    async with database.read() as tx:
        ended = func.count(TICKS.c.ended_at)
        found = (await tx.execute(select(TICKS.c.at).group_by(TICKS.c.at).having(ended == schedules))).scalars().all()
    return min(found, default=None)
