"""Stories for automation: what happens to assets, told to Dagster and to the code server alike, and compared tick by tick."""

import asyncio
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.test_utils import freeze_time
from isthmus.v1 import telemetry_pb2 as pb
from isthmus.v1.instruction_pb2 import AutomationSurroundings
from isthmus_code_server.definitions.port import Definitions, EvaluationPlace, SensorTick
from isthmus_code_server.runs.instance_gate import InstanceGate
from support_dagster_facts import InstanceWorld
from support_instance import attached

NOON = datetime(2026, 1, 8, 12, 30, tzinfo=UTC)
#: What is to be executed: assets and checks, with a partition or without.
Requested = set[tuple[str, str]]


def check_module() -> Any:
    """Return Dagster's module of evaluations of checks, which has moved."""
    try:
        return importlib.import_module("dagster._core.definitions.asset_checks.asset_check_evaluation")
    except ModuleNotFoundError:
        return importlib.import_module("dagster._core.definitions.asset_check_evaluation")


class Story:
    """One sequence of ticks, told to Dagster and to the code server alike."""

    def __init__(self, definitions: Definitions, *, sensor: str = "automatic", module: str = "automated") -> None:
        self.definitions = definitions
        self.sensor = sensor
        self.module: Any = sys.modules[module]
        #: What Dagster is told to be there: where it is more, as if it were one location.
        self.whole: Any = self.module.whole() if hasattr(self.module, "whole") else self.module.defs
        self.surroundings = AutomationSurroundings()
        self.instance = dg.DagsterInstance.ephemeral()
        self.world = InstanceWorld(self.instance)
        self.now = NOON
        self.cursor = ""
        self.theirs: Any = None

    # ------------------------------------------------------------------------------------------------------- what happens

    def make(self, *names: str, partition: str = "") -> str:
        """Materialize assets in one run; returns its id."""
        run = self.plan(*names, partition=partition)
        for name in names:
            materialization = dg.AssetMaterialization(name, partition=partition or None)
            self._tell(run, dg.DagsterEventType.ASSET_MATERIALIZATION, materialization)
        self.end(run, "SUCCESS")
        return str(run.run_id)

    def plan(self, *names: str, partition: str = "") -> Any:
        """Begin a run that is to make assets."""
        from dagster._core.test_utils import create_run_for_test

        keys = {dg.AssetKey(name) for name in names}
        tags = {"dagster/partition": partition} if partition else {}
        status = dg.DagsterRunStatus.STARTED
        run = create_run_for_test(self.instance, job_name="__ASSET_JOB", status=status, asset_selection=keys, tags=tags)
        for key in sorted(keys):
            self._planned(run, key, partition)
        return run

    def end(self, run: Any, status: str) -> None:
        """Bring a run to its end."""
        kind = getattr(dg.DagsterEventType, f"RUN_{status}")
        from dagster._core.events import DagsterEvent

        event = DagsterEvent(event_type_value=kind.value, job_name=run.job_name)
        self.instance.report_dagster_event(event, run_id=run.run_id)

    def report(self, event: Any) -> None:
        """Tell of something that happened outside of runs."""
        self.instance.report_runless_asset_event(event)

    def newest(self, name: str) -> Any:
        """Return what a check says of the materialization that it checked."""
        (record,) = self.instance.fetch_materializations(dg.AssetKey(name), limit=1).records
        return check_module().AssetCheckEvaluationTargetMaterializationData(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )

    def wait(self, **time: float) -> None:
        """Let time pass."""
        self.now += timedelta(**time)

    def _planned(self, run: Any, key: dg.AssetKey, partition: str) -> None:
        from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent

        data = AssetMaterializationPlannedData(key, partition=partition or None)
        event = DagsterEvent.build_asset_materialization_planned_event(run.job_name, "step", data)
        self.instance.report_dagster_event(event, run_id=run.run_id)

    def _tell(self, run: Any, kind: Any, materialization: Any) -> None:
        from dagster._core.events import DagsterEvent, StepMaterializationData

        event = DagsterEvent(
            event_type_value=kind.value,
            job_name=run.job_name,
            event_specific_data=StepMaterializationData(materialization),
        )
        self.instance.report_dagster_event(event, run_id=run.run_id)

    # ------------------------------------------------------------------------------------------------------------- ticks

    def dagster(self) -> Requested:
        """Let Dagster evaluate."""
        repository = self.module.defs.get_repository_def()
        sensor, graph = repository.get_sensor_def(self.sensor), repository.asset_graph
        with freeze_time(self.now):
            self.theirs = dg.evaluate_automation_conditions(
                defs=self.whole,
                instance=self.instance,
                asset_selection=sensor.asset_selection,
                cursor=self.theirs.cursor if self.theirs is not None else None,
            )
        return {
            (key.to_user_string(), partition or "")
            for key in [*sensor.asset_selection.resolve(graph), *sensor.asset_selection.resolve_checks(graph)]
            for partition in _requested(self.theirs, key)
        } | self._together(graph)

    def _together(self, graph: Any) -> Requested:
        """What is only executed together with what is asked for."""
        left = dg.AssetKey("left")
        is_asked = graph.has(left) and self.theirs.get_num_requested(left)
        return {("left", ""), ("right", "")} if is_asked else set()

    def ours(self) -> pb.SensorAnswer:
        """Let the code server evaluate."""
        place = EvaluationPlace(location="here")
        tick = SensorTick(cursor=self.cursor, place=place, automation=self.surroundings)
        with freeze_time(self.now):
            answer = self.definitions.evaluate_sensor(self.sensor, tick=tick)
        self.cursor = answer.cursor
        return answer


def _requested(result: Any, key: Any) -> Iterator[str | None]:
    if not isinstance(key, dg.AssetKey):
        # Dagster counts what it asks for by assets alone.
        yield from [None for it in result.results if it.key == key and it.true_subset.size]
        return
    if result.get_num_requested(key):
        yield from result.get_requested_partitions(key)


def requested(answer: pb.SensorAnswer) -> Requested:
    found = {("/".join(key.path), run.partition_key) for run in answer.runs for key in run.asset_selection}
    return found | {
        (f"{'/'.join(check.asset.path)}:{check.check_name}", run.partition_key)
        for run in answer.runs
        for check in run.check_selection
        # Those without a condition of their own go with their assets.
        if check.check_name == "is_root"
    }


async def compared(gate: InstanceGate, story: Story, steps: Sequence[Callable[[Story], object]]) -> list[Requested]:
    """Tell a story step by step, and compare the tick after each."""
    found = []
    async with gate.listening(), attached(gate, story.world.answer, asked=story.world.asked):
        for number, step in enumerate(steps):
            step(story)
            theirs = await asyncio.to_thread(story.dagster)
            del story.world.asked[:]
            ours = requested(await asyncio.to_thread(story.ours))
            assert ours == theirs, f"tick {number}"
            assert story.world.kinds[:1] == ["asset_facts"]
            found.append(ours)
    return found


def nothing(story: Story) -> None:
    """Let nothing happen."""
