"""Whatever telemetry says, the monitor stores what it can, sets the rest aside, and goes on."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from isthmus.v1 import telemetry_pb2 as wire
from isthmus.v1.telemetry_pb2 import Event, RunRef, Source, TelemetryBatch
from isthmus_broker.errors import MalformedMessageError
from isthmus_broker.notices import Notice
from isthmus_broker.telemetry import decode_batch
from isthmus_monitor.delivery import AlertSender
from isthmus_monitor.ingest import Ingest, Outlets
from isthmus_monitor.lease import Patience
from isthmus_monitor.reading import read
from isthmus_monitor.vigil import Clocks, Vigil
from isthmus_store import agents, locations, outbox, placements, runs
from isthmus_store.database import Database
from isthmus_store.record.agent import NewAgent
from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.location import WantedLocation
from isthmus_store.record.run import NewRun
from isthmus_store.signal import Dispatched
from isthmus_store.state import RunState
from support.hostile import Hostile, every_number
from unit.monitor.rows import NOW, agent, instruction, known, placement, planned, run

pytestmark = pytest.mark.timeout(3600)

WORDS = ("prod", "lab", "r1", "i1", "etl", "life-1")
KEYS = ("prod.lab.run", "prod.lab.heartbeat", "prod.lab.location", "prod.lab.result")
#: As many messages as one group of the monitor has.
GROUP = 100


def honest_source(batch: TelemetryBatch, *, is_agent: bool) -> TelemetryBatch:
    """Let the batch come from where it says: who passes for an agent is who can do harm."""
    batch.source.CopyFrom(Source(deployment="prod", agent="lab", incarnation="life-1"))
    if not is_agent:
        batch.source.location = "etl"
    for event in batch.events[::2]:
        event.run.CopyFrom(RunRef(run_id="r1", attempt=1))
    return batch


def test_no_telemetry_stops_the_planner(messages: int, seed: int) -> None:
    hostile = Hostile(seed, words=WORDS)
    rows = known(
        agents=[agent()],
        runs=[run(), run("r2", state=RunState.CANCELING)],
        instructions=[instruction(), instruction("terminate_run", id="i2")],
        placements=[placement()],
    )
    for number in range(messages // 5):
        batch = honest_source(hostile.message(TelemetryBatch), is_agent=number % 2 == 0)
        bulletin = read(batch, routing_key=KEYS[0], sender="agent-lab", now=NOW)
        plan = planned(rows, bulletin)
        for heard in plan.heard.values():
            assert heard.desired_revision + 1 < 2**63
            assert heard.started_at is None or heard.started_at + timedelta(days=366) > heard.started_at


# ------------------------------------------------------------------------------------------------------ with a real store


@dataclass
class Item:
    batch: TelemetryBatch
    routing_key: str
    sender: str | None
    is_rejected: bool = False

    async def reject(self) -> None:
        self.is_rejected = True


@dataclass
class Group:
    items: Sequence[Item]
    is_acknowledged: bool = False

    async def ack(self) -> None:
        self.is_acknowledged = True


class Board:
    """Takes notices as the broker's room does: as bytes."""

    async def publish(self, notice: Notice) -> None:
        assert Notice.from_bytes(notice.to_bytes()) == notice


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(f"sqlite:///{tmp_path}/isthmus.db") as database:
        await database.migrate()
        yield database


@pytest.fixture
async def ingest(database: Database) -> Ingest:
    async with database.write() as tx:
        await agents.insert(
            tx, NewAgent(deployment="prod", name="lab", pool="default", broker_user="agent-lab", created_at=NOW)
        )
        await locations.apply(tx, WantedLocation(deployment="prod", name="etl", pool="default", settings=b""), at=NOW)
        await placements.place(tx, deployment="prod", location="etl", agent="lab", at=NOW)
        for run_id in ("r1", "victim"):
            new = NewRun(run_id=run_id, deployment="prod", location="etl", job_name="j", request=b"", queued_at=NOW)
            await runs.insert(tx, new)
            await runs.signal(tx, run_id, Dispatched(attempt=1, agent="lab"), at=NOW)
        await outbox.add(
            tx,
            NewInstruction(
                id="i1",
                deployment="prod",
                agent="lab",
                is_control=False,
                kind="launch_run",
                body=b"",
                created_at=NOW,
                not_after=NOW,
                run_id="r1",
                attempt=1,
            ),
        )
    desk = AlertSender(database, webhooks=(), clock=lambda: NOW)
    vigil = Vigil(database, patience=Patience(), alert_sender=desk, clocks=Clocks(lambda: NOW))
    return Ingest(
        database,
        own_account="isthmus",
        outlets=Outlets(ear=vigil, alert_sender=desk, notices=Board()),
        clock=lambda: NOW,
    )


def item(batch: TelemetryBatch, key: str = KEYS[0]) -> Item:
    return Item(batch, key, "agent-lab")


async def take(ingest: Ingest, items: Sequence[Item]) -> None:
    group = Group(items)
    await ingest.take(group)
    assert group.is_acknowledged


async def victims_run_succeeds(ingest: Ingest, database: Database) -> None:
    """Check that what an honest run says is stored as ever."""
    source = Source(deployment="prod", agent="lab", location="etl")
    course: list[dict[str, object]] = [{"run_started": wire.RunStarted()}, {"run_succeeded": wire.RunSucceeded()}]
    said = [
        Event(run=RunRef(run_id="victim", attempt=1), seq=seq, **body)  # type: ignore[arg-type]
        for seq, body in enumerate(course, start=1)
    ]
    await take(ingest, [item(TelemetryBatch(source=source, events=said))])
    async with database.read() as tx:
        assert (await runs.existing(tx, "victim")).state is RunState.SUCCEEDED


async def test_hostile_telemetry_is_stored_or_set_aside(
    ingest: Ingest, database: Database, messages: int, seed: int
) -> None:
    hostile = Hostile(seed, words=WORDS)
    for turn in range(messages // 10 // GROUP):
        items = []
        for number in range(GROUP):
            batch = honest_source(hostile.message(TelemetryBatch), is_agent=(turn + number) % 2 == 0)
            body, encoding = hostile.body(batch)
            try:
                items.append(item(decode_batch(body, content_encoding=encoding), KEYS[number % len(KEYS)]))
            except MalformedMessageError:
                continue
        await take(ingest, items)
    await victims_run_succeeds(ingest, database)


async def test_every_number_of_telemetry_is_stored_or_set_aside(ingest: Ingest, database: Database) -> None:
    items = [item(honest_source(batch, is_agent=True)) for _, batch in every_number(TelemetryBatch)]
    assert len(items) > 1000
    for start in range(0, len(items), GROUP):
        await take(ingest, items[start : start + GROUP])
    # Nothing that is only an odd number is poison.
    assert [it.batch for it in items if it.is_rejected] == []
    await victims_run_succeeds(ingest, database)
