"""Lives through a scenario of ticks on a running system whose clock is set, and tells what they came to.

Control plane, agent and code servers have that clock; so schedules are due, sensors wait for their intervals, and user code
looks at the calendar as if the days passed.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from conformance.isthmus_facts import Fact, errors
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_SERVING, Evaluation, Failure
from isthmus_client.errors import NotFoundError
from isthmus_store.database import Database
from isthmus_store.state import TickStatus
from isthmus_store.table.automation import INSTIGATORS, TICKS
from isthmus_store.table.event import EVENT_INDEX
from sqlalchemy import select
from support.eventually import eventually
from support.faketime import ShiftedClock
from support.system import Operator

#: How long the ticks of a moment may take, on a quiet machine, seconds.
_SETTLED_S = 4.0
#: How long late schedules run.
LATE = timedelta(minutes=5, seconds=30)
_KINDS = {
    "run_started": "PIPELINE_START",
    "run_succeeded": "PIPELINE_SUCCESS",
    "run_failed": "PIPELINE_FAILURE",
    "asset_materialized": "ASSET_MATERIALIZATION",
}


@dataclass
class World:
    """A running system and its clock."""

    operator: Operator
    clock: ShiftedClock
    database: Database
    python: str
    #: Ticks did not come that were waited for: those that come after them are waited for no longer than a moment.
    is_behind: bool = False

    async def load(self, place: Mapping[str, str], *, env: Mapping[str, str]) -> None:
        """Serve a project as a location."""
        source = CodeSource(
            module=place["module"],
            attribute=place["attribute"],
            working_directory=place["folder"],
            python_executable=self.python,
        )
        location = await self.operator.apply(place["name"], source, env=env)
        assert location.phase == LOCATION_PHASE_SERVING, location

    async def start(
        self, kind: "api.AutomationKind.ValueType", places: Sequence[str], wanted: Callable[[str], bool]
    ) -> None:
        """Start schedules or sensors by their names."""

        async def known() -> list[api.Automation]:
            found = await self.operator.client.list_automations(kind=kind)
            return list(found) if {it.location for it in found} >= set(places) else []

        refs = [
            api.AutomationRef(kind=kind, location=it.location, name=it.name)
            for it in await eventually(known, within=10)
            if it.location in places and wanted(it.name)
        ]
        await asyncio.gather(*(self.operator.client.start_automation(ref) for ref in refs))

    async def settled(self, expected: Mapping[str, int], *, of: Sequence[str], since: datetime | None = None) -> None:
        """Wait until as many ticks ended as are expected; the comparison tells of those that never come."""

        async def is_so() -> bool:
            rows = await self._ticks()
            ended = Counter(row.name for row in rows if _counts(row, of) and (since is None or row.at == since))
            return all(row.status is not TickStatus.STARTED for row in rows) and ended >= Counter(expected)

        try:
            await eventually(is_so, within=_SETTLED_S / 20 if self.is_behind else _SETTLED_S)
        except AssertionError:
            self.is_behind = True

    async def _ticks(self) -> Sequence[Any]:
        both = select(TICKS, INSTIGATORS.c.name, INSTIGATORS.c.kind, INSTIGATORS.c.location).join(INSTIGATORS)
        async with self.database.read() as tx:
            return (await tx.execute(both.order_by(TICKS.c.id))).all()

    # ------------------------------------------------------------------------------------------------------- scenarios

    async def schedules(self, told: Sequence[Fact], *, wanted: Mapping[str, Any]) -> None:
        """Let all the times come at which Dagster's schedules were due. Late ones are started shortly before the end."""
        due: dict[float, Counter[str]] = {}
        for fact in told:
            due.setdefault(fact["at"], Counter())[fact["of"]] += 1
        places, late = [it["name"] for it in wanted["places"]], list(wanted["late"])
        late_at = datetime.fromisoformat(wanted["until"]) - LATE
        await self.start(api.AUTOMATION_KIND_SCHEDULE, places, lambda name: name not in wanted["late"])
        for at in sorted(due):
            moment = datetime.fromtimestamp(at, UTC)
            if late and moment > late_at:
                self.clock.set(late_at)
                await self.start(api.AUTOMATION_KIND_SCHEDULE, places, lambda name: name in wanted["late"])
                late = []
            self.clock.set(moment + timedelta(seconds=0.2))
            await self.settled(due[at], of=(), since=moment)

    async def act(self, action: Mapping[str, Any]) -> None:
        """Let something happen."""
        if "file" in action:
            path = Path(action["inbox"]) / action["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("fine\n")
            os.utime(path, (action["changed_at"], action["changed_at"]))
            return
        await self.operator.launch(
            action["location"],
            action["job"],
            run_id=action["run_id"],
            partition_key=action["partition"],
            tags=action["tags"],
        )
        await self.operator.history(action["run_id"])

    # ----------------------------------------------------------------------------------------------------------- facts

    async def told(self) -> list[Fact]:
        """Tell of all ticks."""
        return [await self._tick(row) for row in await self._ticks()]

    async def _tick(self, row: Any) -> Fact:
        failure = Failure.FromString(row.failure)
        return {
            "of": row.name,
            "at": row.at.timestamp(),
            "status": row.status.value,
            "skip_reason": row.skip_reason,
            "error": errors(failure),
            "cursor": row.cursor,
            "lines": [line.message for line in Evaluation.FromString(row.evaluation).log_lines],
            "runs": [await self._run(run_id) for run_id in row.run_ids or ()],
        }

    async def _run(self, run_id: str) -> Fact:
        run = await self.operator.client.get_run(run_id)
        request = run.request
        return {
            "job": request.job_name,
            "config": json.loads(request.run_config_json or "{}"),
            "tags": dict(run.tags),
            # What a target selects is all that its job has: Dagster names it by the job alone.
            "assets": []
            if request.job_name.startswith("__anonymous_asset_job")
            else sorted("/".join(key.path) for key in request.asset_selection),
            "checks": sorted(f"{'/'.join(it.asset.path)}:{it.check_name}" for it in request.check_selection)
            if request.has_check_selection
            else None,
            "status": "QUEUED" if run.state == api.RUN_STATE_QUEUED else api.RunState.Name(run.state),
        }

    async def cursors(self) -> dict[str, str]:
        """Return where sensors stand."""
        async with self.database.read() as tx:
            rows = (await tx.execute(select(INSTIGATORS.c.name, INSTIGATORS.c.cursor))).all()
        return {row.name: row.cursor for row in rows}

    async def events(self) -> dict[str, str]:
        """Return the ids of events, with what they are, for cursors that name them."""
        async with self.database.read() as tx:
            rows = (await tx.execute(select(EVENT_INDEX).where(EVENT_INDEX.c.kind.in_(_KINDS)))).all()
        return {str(row.id): f"{_KINDS[row.kind]} of {row.run_id}" for row in rows}

    async def reactions(self, rounds: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
        """Return what sensors wrote into the histories of runs."""
        found = []
        for run_id in [action["run_id"] for actions in rounds for action in actions if "run_id" in action]:
            with suppress(NotFoundError):
                _, updates = await self.operator.history(run_id)
                found += [it.event.message for it in updates if it.event.message.startswith("Sensor ")]
        return found


def _counts(row: Any, eager: Sequence[str]) -> bool:
    """Tell whether a tick is one that both sides have: sensors that events wake are not asked where there is no news."""
    return row.status is not TickStatus.SKIPPED or row.name not in eager
