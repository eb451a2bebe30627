"""Lives day after day: deploys, launches, telemetry, results, changes by instances, and the removal of what is old."""

import asyncio
import gc
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import CodeSource, RunRequest
from isthmus_broker.notices import Notice
from isthmus_broker.publisher import Publisher
from isthmus_broker.topology import TelemetryKind
from isthmus_control_plane import clock, history
from isthmus_control_plane.commands import command
from isthmus_control_plane.commands.outbox import OutboxDispatcher
from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.locations import LocationDesk
from isthmus_control_plane.desk.runs import RunDesk
from isthmus_control_plane.dispatching.acceptance import Acceptor
from isthmus_control_plane.dispatching.waits import Waits
from isthmus_control_plane.fleet.reconcile import FleetReconciler
from isthmus_control_plane.fleet.world import SyncMemory
from isthmus_control_plane.key import AgentKey
from isthmus_control_plane.leadership.leader import LEASE, Leadership
from isthmus_control_plane.retention.pace import Pace
from isthmus_control_plane.retention.sweeper import Sweeper
from isthmus_control_plane.wake import WakeHub
from isthmus_monitor.delivery import AlertSender
from isthmus_monitor.ingest import Ingest, Outlets
from isthmus_monitor.lease import Patience
from isthmus_monitor.vigil import Clocks, Vigil
from isthmus_store import agents, applied_queries, dead_letters, dynamic_partitions, placements, runs
from isthmus_store.database import Database
from isthmus_store.record.agent import NewAgent
from isthmus_store.record.dead_letter import NewDeadLetter
from isthmus_store.record.run import AttemptRef, NewRun
from isthmus_store.table.catalog import SCHEMA
from isthmus_store.table.event import EVENTS
from isthmus_store.table.instruction import INSTRUCTIONS
from isthmus_store.table.run import RUNS
from sqlalchemy import func, select, text

from soak import feed, page
from soak.feed import DEPLOYMENT, JOB, Group, agent_name, batch, location_name
from soak.plan import Plan

START = datetime(2030, 1, 1, tzinfo=UTC)
#: Of a day: so often something happens, and the clock moves.
_WATCHES = 4
#: Runs that are written, or told of, in one transaction.
_AT_ONCE = 50


class _Nobody:
    """Hears notices."""

    async def publish(self, notice: Notice) -> None:
        """Nobody waits."""


@dataclass
class Stock:
    """What there is at one moment."""

    day: int
    tables: dict[str, int]
    file_bytes: int
    memory_bytes: int
    descriptors: int
    tasks: int
    pages_ms: dict[str, float] = field(default_factory=dict)
    #: Since the stock before: parts that were removed, the longest time that one held the lock, and how many took over 20 ms.
    parts: int = 0
    longest_s: float = 0.0
    late: int = 0


class Year:
    """The services, the clock, and what was told so far."""

    def __init__(self, plan: Plan, database: Database, *, file: Path | None, pace: Pace | None = None) -> None:
        self.plan = plan
        self.at = START
        self.day = 0
        self.run_number = 0
        self.events = 0
        self._file = file
        settings = plan.settings("sqlite:///unused")
        self.core = Core(settings, database=database, hub=WakeHub())
        self._account = self.core.broker.user
        memory = SyncMemory()
        dispatcher = OutboxDispatcher(self.core, publisher=Publisher(self.core.broker))
        self.runs = RunDesk(
            self.core, acceptor=Acceptor(self.core, memory=memory, dispatcher=dispatcher), waits=Waits()
        )
        self.locations = LocationDesk(self.core, memory=memory)
        self._fleet = FleetReconciler(self.core, memory=memory)
        alert_sender = AlertSender(database, webhooks=(), clock=self.now)
        patience = Patience(lease_ttl_s=30, agent_lost_after_s=30, agent_gone_after_s=900)
        self._vigil = Vigil(
            database, patience=patience, alert_sender=alert_sender, clocks=Clocks(self.now, self._monotonic)
        )
        self._ingest = Ingest(
            database,
            own_account=self._account,
            outlets=Outlets(ear=self._vigil, alert_sender=alert_sender, notices=_Nobody()),
            clock=self.now,
        )
        self.leadership = Leadership(database, name=LEASE, duration_s=3600)
        self.sweeper = Sweeper(self.core, leadership=self.leadership, at=self.now, share=1.0, pace=pace)
        self._placed: dict[str, str] = {}

    def now(self) -> datetime:
        return self.at

    def _monotonic(self) -> float:
        return (self.at - START).total_seconds()

    async def begin(self) -> None:
        """Bring up agents and locations."""
        async with self.core.database.write() as tx:
            for number in range(self.plan.agents):
                await agents.insert(
                    tx,
                    NewAgent(
                        deployment=DEPLOYMENT,
                        name=agent_name(number),
                        pool="default",
                        broker_user="",
                        created_at=self.at,
                    ),
                )
        with clock.set_to(self.now):
            await self._beat()
            for number in range(self.plan.locations):
                await self._deploy(location_name(number))

    async def live(self, days: int) -> None:
        """Live so many days."""
        with clock.set_to(self.now):
            for _ in range(days):
                await self._live_day()

    async def _live_day(self) -> None:
        self.day += 1
        for watch in range(_WATCHES):
            self.at = START + timedelta(days=self.day, hours=24 / _WATCHES * watch)
            await self._beat()
            await self._work(watch)
        await self._deploy(location_name(self.day % self.plan.locations))
        await self._settle()
        await self._change_by_instances()
        await self.leadership.step()
        await self.sweeper.round()

    async def _beat(self) -> None:
        said = [
            batch(agent_name(number), TelemetryKind.HEARTBEAT, [feed.heartbeat()], sender=self._account)
            for number in range(self.plan.agents)
        ]
        await self._ingest.take(Group(said))

    async def _work(self, watch: int) -> None:
        share = self.plan.runs_a_day // _WATCHES
        run_ids: list[tuple[int, str]] = []
        for _ in range(max(self.plan.launched_a_day // _WATCHES, 1)):
            number = self._next_number()
            place = location_name(number % self.plan.locations)
            accepted = await self.runs.launch(api.LaunchRunRequest(location=place, job_name=JOB, tags={"team": place}))
            run_ids.append((number, accepted.run.run_id))
        while len(run_ids) < share:
            part = [self._next_number() for _ in range(min(_AT_ONCE, share - len(run_ids)))]
            run_ids += await self._write(part)
        for start in range(0, len(run_ids), _AT_ONCE):
            await self._tell(run_ids[start : start + _AT_ONCE])

    def _next_number(self) -> int:
        self.run_number += 1
        return self.run_number

    async def _write(self, numbers: list[int]) -> list[tuple[int, str]]:
        """Write launches as the desk does, in one transaction."""
        written = []
        async with self.core.database.write() as tx:
            for number in numbers:
                run_id, place = str(uuid4()), location_name(number % self.plan.locations)
                request = RunRequest(location=place, job_name=JOB, tags={"team": place})
                request.run.run_id, request.run.attempt = run_id, 1
                new = NewRun(
                    run_id=run_id,
                    deployment=DEPLOYMENT,
                    location=place,
                    job_name=JOB,
                    request=request.SerializeToString(),
                    queued_at=self.at,
                    tags={"team": place},
                )
                agent, ref = AgentKey(DEPLOYMENT, self._placed[place]), AttemptRef(run_id, 1)
                launch = command.launch(agent, request=request, at=self.at, lifetime=timedelta(minutes=5))
                news = [
                    history.queued(ref, requested_by="year", at=self.at),
                    history.dispatched(ref, agent=agent.name, instruction_id=launch.id, at=self.at),
                ]
                await runs.insert_dispatched(
                    tx, new, runs.Dispatching(agent=agent.name, at=self.at, history=news, command=launch)
                )
                written.append((number, run_id))
        return written

    async def _tell(self, run_ids: list[tuple[int, str]]) -> None:
        """Let the runs' code servers tell their lives, and the agents the results of their launches."""
        said = []
        for number, run_id in run_ids:
            place = location_name(number % self.plan.locations)
            told = feed.life(self.plan, run_id, number=number, at=self.at)
            self.events += len(told) + 3
            said.append(batch(self._placed[place], TelemetryKind.RUN, told, sender=self._account, location=place))
        await self._ingest.take(Group(said))
        await self._settle()

    async def _settle(self) -> None:
        """Let agents answer every command that is open."""
        async with self.core.database.read() as tx:
            open_ = select(INSTRUCTIONS.c.id, INSTRUCTIONS.c.agent).where(INSTRUCTIONS.c.settled_at.is_(None))
            rows = (await tx.execute(open_)).all()
        said = [batch(row.agent, TelemetryKind.RESULT, [feed.result(row.id)], sender=self._account) for row in rows]
        if said:
            await self._ingest.take(Group(said))

    async def _deploy(self, place: str) -> None:
        settings = api.LocationSettings(name=place)
        settings.source.CopyFrom(CodeSource(module="year"))
        settings.env["DEPLOYED_AT"] = self.at.isoformat()
        view = await self.locations.apply(api.ApplyLocationRequest(settings=settings))
        await self._fleet.step()
        async with self.core.database.read() as tx:
            held = await placements.all_of(tx, deployment=DEPLOYMENT, location=place)
        self._placed[place] = held[0].agent
        report = feed.serving(self.plan, place, generation=view.location.generation, version=f"{self.at:%Y-%m-%d}")
        await self._ingest.take(Group([batch(held[0].agent, TelemetryKind.LOCATION, [report], sender=self._account)]))

    async def _change_by_instances(self) -> None:
        """Add and delete keys of dynamic partitions, each asked for by a query; and get some letters that nobody can read."""
        async with self.core.database.write() as tx:
            for number in range(10):
                await applied_queries.is_new(tx, f"query {self.day} {number}", at=self.at)
            await dynamic_partitions.add(tx, [f"day {self.day}"], deployment=DEPLOYMENT, name="days", at=self.at)
            await dynamic_partitions.remove(tx, [f"day {self.day - 5}"], deployment=DEPLOYMENT, name="days")
            for _ in range(5):
                letter = NewDeadLetter(
                    received_at=self.at, queue="q", reason="rejected", instruction_id="", sender="", body=b"?" * 2000
                )
                await dead_letters.add(tx, letter)

    async def stock(self, *, calls: int = 9) -> Stock:
        """Return what there is now."""
        tables: dict[str, int] = {}
        async with self.core.database.read() as tx:
            for table in SCHEMA.sorted_tables:
                tables[table.name] = (await tx.execute(select(func.count()).select_from(table))).scalar_one()
        pace = self.sweeper.pace
        stock = Stock(
            day=self.day,
            tables=tables,
            file_bytes=_bytes_of(self._file) if self._file else await self._postgresql_bytes(),
            memory_bytes=_memory_bytes(),
            descriptors=len(list(Path("/proc/self/fd").iterdir())),
            tasks=len(asyncio.all_tasks()),
            parts=pace.parts,
            longest_s=pace.longest_s,
            late=pace.late,
        )
        with clock.set_to(self.now):
            stock.pages_ms = await page.measured(self, calls=calls)
        pace.forget()
        return stock

    async def _postgresql_bytes(self) -> int:
        async with self.core.database.read() as tx:
            return int((await tx.execute(text("SELECT pg_database_size(current_database())"))).scalar_one())

    async def orphans(self) -> int:
        """Return how many events there are whose run is gone."""
        known = select(RUNS.c.run_id)
        async with self.core.database.read() as tx:
            lost = select(func.count()).select_from(EVENTS).where(EVENTS.c.run_id.not_in(known))
            return int((await tx.execute(lost)).scalar_one())


def _bytes_of(file: Path) -> int:
    """Return the size of a database of SQLite, with its write-ahead log."""
    return sum(part.stat().st_size for part in file.parent.glob(f"{file.name}*"))


def _memory_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
