"""The world of the queue's histories: a database, control planes that decide on it, and an agent that the test plays."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import TypeVar

from isthmus.v1 import instance_pb2
from isthmus.v1.control_plane_pb2 import QueueSettings
from isthmus.v1.instruction_pb2 import Instruction, RunRequest
from isthmus.v1.telemetry_pb2 import RunRef
from isthmus_broker.notices import NoticePublisher
from isthmus_broker.publisher import Publisher
from isthmus_broker.queries import ReceivedQuery
from isthmus_control_plane.commands.outbox import OutboxDispatcher
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching.dequeue import Dequeuer
from isthmus_control_plane.dispatching.rules import Rules
from isthmus_control_plane.dispatching.waits import Waits
from isthmus_control_plane.fleet.world import SyncMemory
from isthmus_control_plane.instance.slots import SlotGranter
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_control_plane.wake import WakeHub
from isthmus_store import pauses, queue_settings, runs, slot_claims
from isthmus_store.database import Database
from isthmus_store.queue_line import line_name, needs_of
from isthmus_store.queue_settings import NewSettings
from isthmus_store.record.queue import Pause, PauseKind, SlotClaim
from isthmus_store.record.run import NewRun
from isthmus_store.signal import Accepted, RunSignal
from isthmus_store.table.instruction import INSTRUCTIONS
from sqlalchemy import select

T = TypeVar("T")

NOON = datetime(2030, 5, 17, 12, tzinfo=UTC)
BROKER = "amqp://nobody:x@127.0.0.1:1/nothing"
POOLS = ("db", "gpu")


@dataclass
class Job:
    """What was launched."""

    number: int
    place: str
    team: str
    pools: tuple[str, ...]
    priority: int
    #: Whether all of its steps begin at once; else one goes first that is in no pool.
    is_pooled_at_once: bool = False

    @property
    def root_pools(self) -> tuple[str, ...]:
        return self.pools if self.is_pooled_at_once else ()


@dataclass
class Process:
    """What an agent started for a launch."""

    job: Job
    claims_slots: bool
    #: The pools in which its steps are at work; each has one step of its own.
    inside: set[str] = field(default_factory=set)
    #: The pools whose slots its steps have asked for, and not got.
    wanted: set[str] = field(default_factory=set)
    #: Whether any of its steps has asked for a slot yet.
    has_asked: bool = False
    #: How often the step of a pool was done.
    tries: Counter[str] = field(default_factory=Counter)


class Plane:
    """The part of a control plane that decides about runs and steps."""

    def __init__(self, database: Database) -> None:
        core = Core(
            ControlPlaneSettings(broker_url=BROKER, database_url="sqlite:///x"), database=database, hub=WakeHub()
        )
        # Never entered: what leaves the queue stays in the outbox, from where the test takes it.
        publisher = Publisher(core.broker)
        dispatcher = OutboxDispatcher(core, publisher=publisher)
        self.queue = Dequeuer(core, memory=SyncMemory(), dispatcher=dispatcher, waits=Waits())
        self.slots = SlotGranter(core, notices=NoticePublisher(publisher))


class QueueWorld:
    """What is done in it, and what is seen of it. Whoever mixes it in opens the database."""

    database: Database
    planes: list[Plane]

    def __init__(self) -> None:
        super().__init__()
        self.limits = QueueSettings()
        self.paused: set[str] = set()
        self.jobs: dict[str, Job] = {}
        self.numbers = count()
        self.alive: dict[str, Process] = {}
        #: Processes that are gone, and of which nobody has heard yet.
        self.lost: list[str] = []
        self.done: set[str] = set()
        self.heard_to = 0
        self.at = NOON

    def now(self) -> datetime:
        self.at += timedelta(microseconds=1)
        return self.at

    def some_job(self, random: Random) -> Job:
        pools = random.choice(((), ("db",), ("db",), ("db", "gpu"), ("gpu",)))
        return Job(
            next(self.numbers),
            random.choice(("etl", "ml")),
            random.choice(("", "a", "b")),
            pools,
            random.choice((-1, 0, 0, 1)),
            is_pooled_at_once=bool(pools) and random.random() < 0.5,  # every other
        )

    async def set_limits(self, limits: QueueSettings) -> None:
        self.limits = limits
        new = NewSettings(
            body=limits.SerializeToString(),
            is_limiting=Rules.of(limits).is_limiting,
            changed_by="",
            changed_at=self.now(),
        )
        async with self.database.write() as tx:
            await queue_settings.save(tx, "default", new)

    async def set_paused(self, pool: str, *, is_paused: bool) -> None:
        it = Pause(deployment="default", kind=PauseKind.POOL, name=pool, paused_by="", why="", paused_at=self.now())
        (self.paused.add if is_paused else self.paused.discard)(pool)
        async with self.database.write() as tx:
            if is_paused:
                await pauses.pause(tx, it)
            else:
                await pauses.resume(tx, "default", kind=it.kind, name=it.name)

    async def write_runs(self, jobs: list[Job]) -> None:
        keys = Rules.of(self.limits).keys
        async with self.database.write() as tx:
            for job in jobs:
                run_id = f"00000000-0000-4000-8000-{job.number:012}"
                self.jobs[run_id] = job
                place = LocationKey("default", job.place)
                tags = {"dagster/priority": str(job.priority)} | ({"team": job.team} if job.team else {})
                needs = needs_of(place, tags=tags, pools=job.pools, keys=keys, root_pools=job.root_pools)
                new = NewRun(
                    run_id=run_id,
                    deployment="default",
                    location=job.place,
                    job_name="job",
                    request=RunRequest(run=RunRef(run_id=run_id, attempt=1), job_name="job").SerializeToString(),
                    queued_at=self.now(),
                    tags=tags,
                    line=line_name(needs, keys=keys),
                    pools=job.pools,
                    root_pools=job.root_pools,
                )
                await runs.insert(tx, new)

    async def ask(self, run_id: str, pool: str, *, which: int) -> None:
        process = self.alive[run_id]
        process.wanted.add(pool)
        process.has_asked = True
        claims = instance_pb2.ClaimSlots(
            claims=[
                instance_pb2.SlotClaim(
                    step_key=it, retry_number=process.tries[it], pool=it, priority=process.job.priority
                )
                for it in sorted(process.wanted)
            ],
            room=len(process.wanted),
        )
        query = instance_pb2.InstanceQuery(id="1", claim_slots=claims)
        granted = await self.planes[which].slots.claim(self.received(run_id, query), timeout_s=0)
        for it in granted.step_keys:
            process.wanted.discard(it)
            process.inside.add(it)

    def received(self, run_id: str, query: instance_pb2.InstanceQuery) -> ReceivedQuery:
        query.run.CopyFrom(RunRef(run_id=run_id, attempt=1))
        return ReceivedQuery(
            instance_pb2.QueryEnvelope(deployment="default", agent="alpha", query=query), sender="nobody"
        )

    async def leave_pool(self, run_id: str, pool: str, *, which: int, is_told: bool) -> None:
        """End a step; the word that frees its slot may be lost."""
        process = self.alive[run_id]
        process.inside.discard(pool)
        through = instance_pb2.SlotClaim(step_key=pool, retry_number=process.tries[pool])
        process.tries[pool] += 1
        if is_told:
            query = instance_pb2.InstanceQuery(id="2", free_slots=instance_pb2.FreeSlots(claims=[through]))
            await self.planes[which].slots.free(self.received(run_id, query))

    async def signal(self, run_id: str, news: RunSignal) -> None:
        async with self.database.write() as tx:
            await runs.signal(tx, run_id, news, at=self.now())
        if not isinstance(news, Accepted):
            self.done.add(run_id)

    async def start_processes(self) -> list[str]:
        """Do what the agent does with launches: each is started once."""
        statement = select(INSTRUCTIONS.c.position, INSTRUCTIONS.c.body).order_by(INSTRUCTIONS.c.position)
        async with self.database.read() as tx:
            rows = list(await tx.execute(statement.where(INSTRUCTIONS.c.position > self.heard_to)))
        started = []
        for row in rows:
            request = Instruction.FromString(row.body).launch_run.request
            run_id, self.heard_to = request.run.run_id, row.position
            assert run_id not in self.alive
            assert run_id not in self.done
            self.alive[run_id] = Process(self.jobs[run_id], request.claims_slots)
            await self.signal(run_id, Accepted(attempt=1))
            started.append(run_id)
        return started

    def uses(self, granted: Collection[tuple[str, str]] = ()) -> Counter[str]:
        """Count what processes use, by the words of the limits."""
        counts: Counter[str] = Counter()
        for run_id, process in self.alive.items():
            job = process.job
            counts.update({"runs": 1, job.place: 1})
            if job.team:
                counts.update({"team": 1, f"team={job.team}": 1})
            has = process.inside | {pool for owner, pool in granted if owner == run_id}
            counts.update(f"pool {it}" for it in (has if process.claims_slots else job.pools))
        return counts

    async def load(self) -> Counter[str]:
        """Count the steps that are in pools, that wait for them, and that are about to."""
        counts = Counter(it.pool for it in await self.claims())
        for process in self.alive.values():
            if process.claims_slots and not process.has_asked:
                counts.update(process.job.root_pools)
        return counts

    async def granted(self) -> set[tuple[str, str]]:
        return {(it.run_id, it.step_key) for it in await self.claims() if it.granted_at is not None}

    async def claims(self) -> list[SlotClaim]:
        async with self.database.read() as tx:
            return await slot_claims.live(tx, "default")
