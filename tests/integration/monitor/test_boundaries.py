"""What goes wrong with one group, delivery or lease ends that one, and nothing beside it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from integration.monitor.test_webhook import Receiver
from integration.monitor.world import SECRET
from isthmus.v1.telemetry_pb2 import AgentHeartbeat, Event, Source, TelemetryBatch
from isthmus_broker.notices import Notice
from isthmus_monitor.delivery import AlertSender
from isthmus_monitor.ingest import Ingest, Outlets
from isthmus_monitor.lease import Patience
from isthmus_monitor.plan import Plan
from isthmus_monitor.vigil import Clocks, Vigil
from isthmus_monitor.webhook import Webhook
from isthmus_store import agents, alerts, runs
from isthmus_store.database import Database
from isthmus_store.record.agent import NewAgent
from isthmus_store.record.alert import NewAlert
from isthmus_store.record.run import NewRun, Run
from isthmus_store.signal import Accepted, Dispatched
from isthmus_store.state import RunState
from sqlalchemy import text
from support.eventually import eventually, patiently

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(f"sqlite:///{tmp_path}/isthmus.db") as database:
        await database.migrate()
        async with database.write() as tx:
            await agents.insert(
                tx, NewAgent(deployment="prod", name="lab", pool="default", broker_user="", created_at=NOW)
            )
        yield database


# ---------------------------------------------------------------------------------------------------------------- groups


@dataclass
class Batch:
    """A batch of one heartbeat, as the broker's room hands it out."""

    batch: TelemetryBatch
    routing_key: str = "prod.lab.heartbeat"
    sender: str | None = "isthmus"
    is_rejected: bool = False

    async def reject(self) -> None:
        self.is_rejected = True


@dataclass
class Batches:
    """Some of them, acknowledged together."""

    items: Sequence[Batch]
    is_acknowledged: bool = False

    async def ack(self) -> None:
        self.is_acknowledged = True


@dataclass
class BrokenEar:
    """Whoever has to know, and cannot hear."""

    heard: list[Plan] = field(default_factory=list)

    def on_stored(self, plan: Plan, *, runs: Mapping[str, Run]) -> None:
        self.heard.append(plan)
        raise ZeroDivisionError(len(runs))

    def on_interruption(self) -> None:
        raise AssertionError


class Board:
    async def publish(self, notice: Notice) -> None:
        assert notice.agents == {"prod/lab"}


async def test_telemetry_that_is_stored_is_no_poison_though_somebody_cannot_hear_of_it(database: Database) -> None:
    ear = BrokenEar()
    desk = AlertSender(database, webhooks=())
    ingest = Ingest(database, own_account="isthmus", outlets=Outlets(ear=ear, alert_sender=desk, notices=Board()))
    beat = TelemetryBatch(
        source=Source(deployment="prod", agent="lab", incarnation="life-1"),
        events=[Event(agent_heartbeat=AgentHeartbeat(version="9"))],
    )
    group = Batches([Batch(beat), Batch(beat)])
    await ingest.take(group)
    assert group.is_acknowledged
    assert [item.is_rejected for item in group.items] == [False, False]
    assert len(ear.heard) == 1
    async with database.read() as tx:
        agent = await agents.get(tx, deployment="prod", name="lab")
    assert agent is not None
    assert agent.version == "9"


# ------------------------------------------------------------------------------------------------------------ deliveries


def odd_alert(alert_id: str) -> NewAlert:
    return NewAlert(id=alert_id, kind="run.failed", deployment="prod", subject="r", payload="{}", created_at=NOW)


async def test_an_alert_that_cannot_even_be_sent_ends_alone(database: Database) -> None:
    async with Receiver().serving() as receiver:
        webhook = Webhook.model_validate({"url": receiver.url, "secret": SECRET, "kinds": ["run.failed"]})
        desk = AlertSender(database, webhooks=[webhook], clock=lambda: NOW)
        async with database.write() as tx:
            # No header may hold the end of a line.
            for alert_id in ("odd\r\nid", "good"):
                await alerts.add(tx, odd_alert(alert_id), endpoints=desk.endpoints_for("run.failed"))
        async with patiently(30), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(desk.run())
            await eventually(lambda: _is_told(database), within=30)
            running.cancel()
        assert [request.headers["webhook-id"] for request, _ in receiver.received] == ["good"]


async def _is_told(database: Database) -> bool:
    async with database.read() as tx:
        (good,) = await alerts.deliveries(tx, "good")
        (odd,) = await alerts.deliveries(tx, "odd\r\nid")
    return good.delivered_at is not None and odd.tries == 1 and odd.last_error == "ValueError"


# ---------------------------------------------------------------------------------------------------------------- leases


async def living_run(database: Database, run_id: str) -> Run:
    new = NewRun(run_id=run_id, deployment="prod", location="etl", job_name="j", request=b"", queued_at=NOW)
    async with database.write() as tx:
        await runs.insert(tx, new)
        await runs.signal(tx, run_id, Dispatched(attempt=1, agent="lab"), at=NOW)
        return (await runs.signal(tx, run_id, Accepted(attempt=1), at=NOW)).run


async def test_a_lease_that_cannot_be_ended_keeps_no_other_from_its_end(database: Database) -> None:
    await living_run(database, "stuck")
    await living_run(database, "lost")
    trigger = (
        "CREATE TRIGGER refuse BEFORE UPDATE ON runs WHEN NEW.run_id = 'stuck' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    async with database.write() as tx:
        await tx.execute(text(trigger))
    elapsed_s = 0.0
    vigil = Vigil(
        database,
        patience=Patience(),
        alert_sender=AlertSender(database, webhooks=()),
        clocks=Clocks(lambda: NOW + timedelta(seconds=elapsed_s), lambda: elapsed_s),
    )
    await vigil.load()
    vigil.hear_again()
    ended: set[str] = set()
    for _ in range(40):
        elapsed_s += 1
        vigil.on_stored(Plan(speakers={("prod", "lab")}), runs={})
        ended |= (await vigil.look()).runs
    assert ended == {"lost"}
    async with database.read() as tx:
        assert (await runs.existing(tx, "stuck")).state is RunState.STARTING
