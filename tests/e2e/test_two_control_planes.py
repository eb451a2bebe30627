"""Two control planes and two monitors on one database and one broker: whoever of them dies or stands still, each tick fires once."""

import json
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from isthmus.v1.control_plane_pb2 import RUN_STATE_SUCCEEDED, ListRunsQuery
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus_store import ticks
from isthmus_store.database import Database
from isthmus_store.state import InstigatorKind, TickStatus
from isthmus_store.table.automation import TICKS
from sqlalchemy import select
from support.eventually import eventually
from support.rabbitmq import Rabbit
from support.system import Operator, Service, System, running_system

if TYPE_CHECKING:
    from support.postgres import Postgres


PROJECT = Path(__file__).parent / "project"
SCHEDULES = 5
#: How long nobody may lead, seconds.
TAKEOVER_S = 10.0
#: Of a kill and a standstill each; one takes two minutes.
ROUNDS = int(os.environ.get("ISTHMUS_CHAOS_ROUNDS", "1"))
pytestmark = pytest.mark.timeout(600 * ROUNDS)


@dataclass
class Pair:
    """A system with a second control plane and a second monitor."""

    system: System
    planes: list[Service]
    database_url: str

    def leader(self) -> Service:
        """The control plane that took the lease last."""
        return max(self.planes, key=lambda plane: self.taken(plane)[-1] if self.taken(plane) else 0)

    def taken(self, plane: Service) -> list[int]:
        """The numbers of the leases that a control plane took."""
        lines = plane.log.read_text(errors="replace").splitlines() if plane.log.exists() else []
        records = [json.loads(line) for line in lines if '"lease_taken"' in line]
        return [record["number"] for record in records]

    def highest(self) -> int:
        return max((number for plane in self.planes for number in self.taken(plane)), default=0)


@pytest.fixture
def pair(rabbitmq: Rabbit, postgres: "Postgres", tmp_path: Path) -> Iterator[Pair]:
    """Two of each, on one database and one broker."""
    database_url = postgres.create_database()
    with running_system(broker_url=rabbitmq.take_url(), database_url=database_url, folder=tmp_path) as system:
        others = []
        for name in ("control_plane", "monitor"):
            first = system.services[name]
            environment = dict(first.environment)
            if name == "control_plane":
                environment["ISTHMUS_CONTROL_PLANE_LISTEN"] = f"127.0.0.1:{free_port()}"
            second = Service(name, environment, tmp_path / f"{name}-2.log")
            system.services[f"{name}-2"] = second
            second.start()
            others.append(second)
        yield Pair(system, [system.services["control_plane"], others[0]], database_url)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until_second(second: float) -> None:
    """Wait for the next time that a minute's clock shows so many seconds, half a second ahead at the least."""
    now = datetime.now(UTC)
    at = now.replace(second=0, microsecond=0) + timedelta(seconds=second)
    if at < now + timedelta(seconds=0.5):
        at += timedelta(minutes=1)
    await eventually(lambda: datetime.now(UTC) >= at, within=65, every=0.01)


async def taken_over(pair: Pair, *, after: int) -> None:
    """Wait for another's lease, no longer than a takeover may last."""
    await eventually(lambda: pair.highest() > after, within=TAKEOVER_S)


async def finished_ticks(pair: Pair, *, minute: datetime) -> int:
    """How many of a minute's ticks succeeded."""
    async with Database.open(pair.database_url) as database, database.read() as tx:
        found = (await tx.execute(select(TICKS.c.status).where(TICKS.c.at == minute))).scalars().all()
    return sum(status is TickStatus.SUCCESS for status in found)


async def assert_each_tick_fired_once(pair: Pair, operator: Operator, *, minutes: list[datetime]) -> None:
    async with Database.open(pair.database_url) as database, database.read() as tx:
        assert await ticks.started(tx, InstigatorKind.SCHEDULE) == []
        rows = (await tx.execute(select(TICKS.c.instigator_id, TICKS.c.at, TICKS.c.run_ids))).all()
    each = Counter((row.instigator_id, row.at) for row in rows)
    assert set(each.values()) == {1}
    for minute in minutes:
        assert len([row for row in rows if row.at == minute]) == SCHEDULES, minute
    assert all(len(row.run_ids) == 1 for row in rows)
    page = await operator.client.list_runs(ListRunsQuery(page_size=500))
    fired = Counter((run.tags["dagster/schedule_name"], run.tags["minute"]) for run in page.runs)
    assert set(fired.values()) == {1}
    assert {run.request.run.run_id for run in page.runs} == {run_id for row in rows for run_id in row.run_ids}


async def test_each_tick_fires_once_whatever_becomes_of_the_leader(pair: Pair) -> None:
    async with pair.system.client() as client:
        operator = Operator(pair.system, client)
        await operator.enroll_agent()
        source = CodeSource(python_file=str(PROJECT / "minutely.py"), working_directory=str(PROJECT))
        await operator.apply("minutely", source)
        minutes = []
        for _ in range(ROUNDS):
            minutes.append(await leader_is_killed_as_ticks_begin(pair))
            minutes.append(await leader_stands_still_over_its_lease(pair))
        await all_runs_succeeded(operator)
        await assert_each_tick_fired_once(pair, operator, minutes=minutes)


async def leader_is_killed_as_ticks_begin(pair: Pair) -> datetime:
    """Kill the leader right after a full minute; the other does what it left. Returns the minute."""
    await until_second(0.02)
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    leader, number = pair.leader(), pair.highest()
    leader.end(signal.SIGKILL)
    await taken_over(pair, after=number)
    assert pair.leader() is not leader
    await eventually(lambda: all_finished(pair, minute=minute), within=20)
    leader.start()
    return minute


async def leader_stands_still_over_its_lease(pair: Pair) -> datetime:
    """Stop the leader before a full minute and for longer than its lease; it can write nothing afterwards."""
    await until_second(59.5)
    minute = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    leader, number = pair.leader(), pair.highest()
    assert leader.process is not None
    leader.process.send_signal(signal.SIGSTOP)
    try:
        await taken_over(pair, after=number)
    finally:
        leader.process.send_signal(signal.SIGCONT)
    await eventually(lambda: all_finished(pair, minute=minute), within=20)
    assert leader.is_alive
    return minute


async def all_finished(pair: Pair, *, minute: datetime) -> bool:
    return await finished_ticks(pair, minute=minute) == SCHEDULES


async def all_runs_succeeded(operator: Operator) -> None:
    """Wait until all runs ended well; a monitor is killed meanwhile, and the other hears of the rest."""
    operator.system.services["monitor"].end(signal.SIGKILL)

    async def is_so() -> bool:
        page = await operator.client.list_runs(ListRunsQuery(page_size=500))
        return bool(page.runs) and all(run.state == RUN_STATE_SUCCEEDED for run in page.runs)

    await eventually(is_so, within=60)
