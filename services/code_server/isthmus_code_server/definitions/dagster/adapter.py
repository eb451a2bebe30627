"""The Definitions port on a Dagster repository."""

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import LocationSnapshot, ScheduleAnswer, SensorAnswer

from isthmus_code_server.definitions.dagster.asked.instance import build_instance
from isthmus_code_server.definitions.dagster.asked.run_origin import RunOrigins
from isthmus_code_server.definitions.dagster.described.snapshot import location_snapshot
from isthmus_code_server.definitions.dagster.evaluated.automation import prepare as prepare_automation
from isthmus_code_server.definitions.dagster.evaluated.evaluation import DagsterEvaluation
from isthmus_code_server.definitions.dagster.executed.execution import DagsterRunExecution
from isthmus_code_server.definitions.dagster.executed.own_jobs import OwnJobs
from isthmus_code_server.definitions.dagster.executed.request import resolve
from isthmus_code_server.definitions.dagster.executed.step_site import StepSite
from isthmus_code_server.definitions.dagster.executed.warming import warm_up
from isthmus_code_server.definitions.port import EvaluationPlace, PreparedRun, SensorTick

if TYPE_CHECKING:
    from isthmus_code_server.definitions.dagster.executed.run_job import RunOrigin
    from isthmus_code_server.definitions.dagster.surrounding.surroundings import Surroundings


class DagsterDefinitions:
    """A Dagster repository, imported, with everything built that its runs share.

    Build it before the fork: what is built here is built once, and costs a child nothing. For a single run it would cost
    more than it saves: then only what that run needs is built, and nothing is described.
    """

    def __init__(
        self, origin: "RunOrigin", *, surroundings: "Surroundings", framework: str, is_for_one_run: bool = False
    ) -> None:
        """Take a repository.

        Args:
            origin: The repository, and what leads another process to it.
            surroundings: Where values are kept, and what the project's dagster.yaml says.
            framework: The framework and its version.
            is_for_one_run: Whether only one run will use it.
        """
        self._origin = origin
        self._repository = origin.repository
        self._framework = framework
        origins = RunOrigins(repository=origin.repository.name, jobs=lambda: frozenset(origin.repository.job_names))
        self._run_instance = build_instance(surroundings, origins=origins)
        self._site = StepSite()
        self._jobs = OwnJobs(origin.repository, site=self._site)
        self._snapshot = LocationSnapshot()
        if not is_for_one_run:
            self._build_all()
            self._snapshot.warnings.extend(surroundings.file.warnings)

    def _build_all(self) -> None:
        self._snapshot = location_snapshot(self._repository)
        for job in self._jobs.values():
            # A schema that cannot be built is told when the job is asked for, by its own error.
            with suppress(Exception):
                _ = job.run_config_schema
        prepare_automation(self._repository)
        self.warm_up()

    @property
    def framework(self) -> str:
        """The framework and its version."""
        return self._framework

    def describe(self) -> LocationSnapshot:
        """Describe everything that is defined; see the port."""
        return self._snapshot

    def warm_up(self) -> None:
        """Execute a job of our own; see the port."""
        warm_up(self._run_instance)

    def prepare(self, request: RunRequest) -> PreparedRun:
        """Check a request; see the port for what is raised."""
        resolved = resolve(request, jobs=self._jobs)
        return DagsterRunExecution(resolved, run_instance=self._run_instance, site=self._site, origin=self._origin)

    def evaluate_schedule(
        self, name: str, *, scheduled_at: datetime, place: EvaluationPlace | None = None
    ) -> ScheduleAnswer:
        """Ask a schedule; see the port for what is raised."""
        return self._evaluation(place or EvaluationPlace()).schedule(name, scheduled_at=scheduled_at)

    def evaluate_sensor(self, name: str, *, tick: SensorTick) -> SensorAnswer:
        """Ask a sensor; see the port for what is raised."""
        return self._evaluation(tick.place).sensor(name, tick=tick)

    def _evaluation(self, place: EvaluationPlace) -> DagsterEvaluation:
        return DagsterEvaluation(
            repository=self._repository, run_instance=self._run_instance, framework=self._framework, place=place
        )
