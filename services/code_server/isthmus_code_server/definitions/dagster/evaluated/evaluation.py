"""Asks a Dagster schedule or sensor what to run at a tick. Nothing is changed by asking: what is wanted is answered."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.dagster.asked.run_origin import location_origin
from isthmus_code_server.definitions.dagster.evaluated.automation import (
    AutomationEvaluation,
    is_automation,
    partitions_known,
)
from isthmus_code_server.definitions.dagster.evaluated.decisions import decisions_zlib
from isthmus_code_server.definitions.dagster.evaluated.requested_run import requested_run
from isthmus_code_server.definitions.dagster.values.failure import failure_from_error_info
from isthmus_code_server.definitions.port import EvaluationPlace, SensorTick
from isthmus_code_server.errors import UnknownDefinitionError

if TYPE_CHECKING:
    import logging

    from dagster import RepositoryDefinition

    from isthmus_code_server.definitions.dagster.asked.instance import RunInstance
    from isthmus_code_server.definitions.dagster.asked.wanted_changes import ChangeRecord


@dataclass(frozen=True, kw_only=True)
class DagsterEvaluation:
    """One question to one schedule or sensor of a repository."""

    repository: "RepositoryDefinition"
    run_instance: "RunInstance"
    #: The framework and its version.
    framework: str
    place: EvaluationPlace

    def schedule(self, name: str, *, scheduled_at: datetime) -> pb.ScheduleAnswer:
        """Evaluate a schedule, which is told its time in its own zone.

        Raises:
            UnknownDefinitionError: No schedule has this name.
            Exception: Whatever the user's code raised.
        """
        from dagster._time import get_timezone

        from isthmus_code_server.definitions.dagster.evaluated.evaluation_context import ScheduleContext

        if not self.repository.has_schedule_def(name):
            raise UnknownDefinitionError(name, kind="schedule")
        schedule = self.repository.get_schedule_def(name)
        told: dict[str, Any] = {
            "scheduled_execution_time": scheduled_at.astimezone(get_timezone(schedule.execution_timezone or "UTC")),
            "schedule_name": name,
            **self._told(schedule),
        }
        with self.run_instance.evaluating(self.place) as record, ScheduleContext(**told) as context:
            data = schedule.evaluate_tick(context)
            runs = self._runs(data.run_requests, job_name=schedule.job_name)
        return pb.ScheduleAnswer(runs=runs, skip_reason=data.skip_message or "", changes=record.wanted)

    def sensor(self, name: str, *, tick: SensorTick) -> pb.SensorAnswer:
        """Evaluate a sensor.

        Raises:
            UnknownDefinitionError: No sensor has this name.
            Exception: Whatever the user's code raised.
        """
        from isthmus_code_server.definitions.dagster.evaluated.evaluation_context import SensorContext

        if not self.repository.has_sensor_def(name):
            raise UnknownDefinitionError(name, kind="sensor")
        sensor = self.repository.get_sensor_def(name)
        told: dict[str, Any] = {
            "last_tick_completion_time": _seconds(tick.last_tick_at),
            "last_sensor_start_time": _seconds(tick.last_started_at),
            "last_run_key": tick.last_run_key or None,
            "cursor": tick.cursor or None,
            "code_location_origin": location_origin(self.place.location) if self.place.location else None,
            "sensor_name": name,
            **self._told(sensor),
        }
        with self.run_instance.evaluating(self.place) as record, SensorContext(**told) as context:
            if is_automation(sensor):
                return self._decided(sensor, tick=tick, logger=context.log)
            data = sensor.evaluate_tick(context)
            self._keep_changes(data, record)
            runs = self._runs(data.run_requests, job_name=_default_job(sensor))
        return pb.SensorAnswer(
            runs=runs,
            skip_reason=data.skip_message or "",
            cursor=data.cursor or "",
            changes=record.wanted,
            reactions=_reactions(data.dagster_run_reactions),
        )

    def _decided(self, sensor: Any, *, tick: SensorTick, logger: "logging.Logger") -> pb.SensorAnswer:
        """Evaluate the conditions of a sensor of automation."""
        decided = AutomationEvaluation(
            sensor=sensor,
            repository=self.repository,
            run_instance=self.run_instance,
            surroundings=tick.automation,
            logger=logger,
        ).decide(tick.cursor)
        with partitions_known(self.run_instance.instance):
            return pb.SensorAnswer(
                runs=self._runs(decided.run_requests, job_name=""),
                cursor=decided.cursor,
                decisions_zlib=decisions_zlib(decided.evaluations, graph=self.repository.asset_graph),
            )

    def _told(self, definition: Any) -> dict[str, Any]:
        return {
            "instance": self.run_instance.instance,
            "take_line": self.place.take_line,
            "repository_name": self.repository.name,
            "repository_def": self.repository,
            "resources": _resources(self.repository, definition.required_resource_keys),
        }

    def _runs(self, requests: "Iterable[Any] | None", *, job_name: str) -> list[pb.RequestedRun]:
        graph = self.repository.asset_graph
        return [
            requested_run(request, job_name=job_name, framework=self.framework, asset_graph=graph)
            for request in requests or ()
        ]

    def _keep_changes(self, data: Any, record: "ChangeRecord") -> None:
        """Keep what the sensor returned besides runs, in Dagster's order: events of assets, then partitions."""
        from dagster import AddDynamicPartitionsRequest

        for event in data.asset_events or ():
            self.run_instance.instance.report_runless_asset_event(event)
        for request in data.dynamic_partitions_requests or ():
            is_new = isinstance(request, AddDynamicPartitionsRequest)
            keys = list(request.partition_keys)
            record.change_partitions(
                request.partitions_def_name, added=keys if is_new else (), deleted=() if is_new else keys
            )


def _default_job(sensor: Any) -> str:
    """Return the job of requests that name none; empty where there is none, or one of several."""
    targets = list(sensor.targets or ())
    return targets[0].job_name if len(targets) == 1 else ""


def _reactions(reactions: "Iterable[Any] | None") -> list[pb.RunReaction]:
    told = []
    for reaction in reactions or ():
        run, status = reaction.dagster_run, reaction.run_status
        one = pb.RunReaction(run_id=run.run_id if run else "", status=status.value if status else "")
        if reaction.error is not None:
            one.failure.CopyFrom(failure_from_error_info(reaction.error))
        told.append(one)
    return told


def _seconds(at: datetime | None) -> float | None:
    return at.timestamp() if at is not None else None


def _resources(repository: "RepositoryDefinition", keys: Any) -> Mapping[str, Any]:
    """Return the resources that an evaluation asks for, and those that they ask for."""
    from dagster._core.execution.resources_init import get_transitive_required_resource_keys

    resources = repository.get_top_level_resources()
    needed = get_transitive_required_resource_keys(keys, resources)
    return {name: resource for name, resource in resources.items() if name in needed}
