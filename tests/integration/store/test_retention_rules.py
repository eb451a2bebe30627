"""Whatever is told and removed, in whatever order: what assets are asked about is what was told last."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isthmus.v1.telemetry_pb2 import Event
from isthmus_store import check_index, event_index, events, runs
from isthmus_store.check_index import CheckQuery
from isthmus_store.database import Database
from isthmus_store.event_index import EventQuery, PartitionQuery
from isthmus_store.events import new_event
from isthmus_store.fact import asset_text
from isthmus_store.record.run import NewRun
from isthmus_store.retention import outliving
from isthmus_store.retention import runs as old_runs
from isthmus_store.signal import Dispatched, Succeeded

ASSET = asset_text(["orders"])
CHECK = "is_whole"
START = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Tell:
    """A run says these: a partition that is made, planned or checked."""

    said: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Remove:
    """All runs that ended are removed; in parts of so many rows, or whole."""

    rows: int


@dataclass(frozen=True)
class Sweep:
    """What is superseded is removed."""


KINDS = st.sampled_from(["made", "planned", "passed", "failed"])
TELL = st.builds(Tell, st.lists(st.tuples(KINDS, st.sampled_from(["a", "b", "c"])), min_size=1, max_size=5))
STEPS = st.lists(st.one_of(TELL, TELL, st.builds(Remove, st.integers(0, 3)), st.builds(Sweep)), min_size=1, max_size=10)


@dataclass
class Play:
    """One order of steps, and what has to be true after each."""

    database: Database
    at: datetime = START
    deployment: str = field(default_factory=lambda: f"d{uuid4().hex[:20]}")
    #: By kind of event and partition: the note of the last one.
    last: dict[tuple[str, str], str] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)

    async def take(self, step: Tell | Remove | Sweep) -> None:
        self.at += timedelta(minutes=1)
        match step:
            case Tell():
                await self._tell(step.said)
            case Remove():
                await self._remove(step.rows)
            case Sweep():
                await self._sweep()

    async def _tell(self, said: Sequence[tuple[str, str]]) -> None:
        run_id = str(uuid4())
        new = NewRun(
            run_id=run_id, deployment=self.deployment, location="etl", job_name="job", request=b"", queued_at=self.at
        )
        told = [self._event(kind, partition, note=f"{run_id} {place}") for place, (kind, partition) in enumerate(said)]
        async with self.database.write() as tx:
            await runs.insert(tx, new)
            await runs.signal(tx, run_id, Dispatched(attempt=1, agent="lab"), at=self.at)
            await events.append(tx, run_id, attempt=1, events=[new_event(it) for it in told], stored_at=self.at)
            await runs.signal(tx, run_id, Succeeded(attempt=1), at=self.at)

    def _event(self, kind: str, partition: str, *, note: str) -> Event:
        event = Event(message=note)
        if kind in {"made", "planned"}:
            body: Any = event.asset_materialized if kind == "made" else event.asset_planned
            self.last[("asset_materialized" if kind == "made" else "asset_planned", partition)] = note
        else:
            body = event.asset_check_evaluated
            event.asset_check_evaluated.check_name = CHECK
            event.asset_check_evaluated.is_passed = kind == "passed"
            self.outcomes[partition] = "SUCCEEDED" if kind == "passed" else "FAILED"
        body.asset.path.append("orders")
        body.partition = partition
        return event

    async def _remove(self, rows: int) -> None:
        before = self.at + timedelta(minutes=1)
        async with self.database.read() as tx:
            due = [it.run_id for it in await old_runs.due(tx, ended_before=before, limit=500)]
        if not rows:
            async with self.database.write() as tx:
                await old_runs.remove(tx, due, ended_before=before)
            return
        for run_id in due:
            has_more = True
            while has_more:
                async with self.database.write() as tx:
                    has_more = await old_runs.remove_part(tx, run_id, ended_before=before, rows=rows)
                # Between two parts, too.
                await self.check()

    async def _sweep(self) -> None:
        async with self.database.read() as tx:
            look = await outliving.look(tx, after_id=0, rows=1000)
        async with self.database.write() as tx:
            await outliving.remove_superseded(tx, look.superseded)

    async def check(self) -> None:
        async with self.database.read() as tx:
            for kind in ("asset_materialized", "asset_planned"):
                query = PartitionQuery(deployment=self.deployment, kind=kind, asset=ASSET)
                known = {it.partition: it.id for it in await event_index.newest_of_partitions(tx, query)}
                found = EventQuery(
                    deployment=self.deployment, kinds=frozenset({kind}), ids=frozenset(known.values()), limit=99
                )
                notes = {it.id: Event.FromString(it.body).message for it in await event_index.find(tx, found)}
                wanted = {partition: note for (of, partition), note in self.last.items() if of == kind}
                assert {partition: notes[it] for partition, it in known.items()} == wanted
            for partition, outcome in self.outcomes.items():
                asked = CheckQuery(
                    deployment=self.deployment, asset=ASSET, check_name=CHECK, partition=partition, limit=1
                )
                assert [it.outcome for it in await check_index.executions(tx, asked)] == [outcome]


@pytest.mark.timeout(600)
@given(steps=STEPS)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_state_is_what_was_told_last(steps: list[Tell | Remove | Sweep], database_url: str) -> None:
    async def play() -> None:
        async with Database.open(database_url) as database:
            await database.migrate()
            game = Play(database)
            for step in steps:
                await game.take(step)
                await game.check()

    asyncio.run(play())
