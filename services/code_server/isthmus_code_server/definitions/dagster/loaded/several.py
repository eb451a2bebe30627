"""The Definitions port on several repositories of one location.

In Dagster each repository is a namespace of its own; a location here is one. A name that only one repository uses stays
as it is; one that several use is told apart by its repository, as in "etl.nightly" (no name of Dagster's holds a dot).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import FieldViolation, LocationSnapshot, RequestedRun, ScheduleAnswer, SensorAnswer

from isthmus_code_server.definitions.dagster.loaded.joined_snapshot import join
from isthmus_code_server.definitions.port import Definitions, EvaluationPlace, PreparedRun, SensorTick
from isthmus_code_server.errors import InvalidRequestError, UnknownDefinitionError


class SeveralDefinitions:
    """Definitions of several repositories, each name led to the repository that has it."""

    def __init__(self, members: Mapping[str, Definitions]) -> None:
        """Join definitions by the names of their repositories; there is at least one."""
        self._members = dict(sorted(members.items()))
        self._first = next(iter(self._members.values()))
        self._joined = join({repository: member.describe() for repository, member in self._members.items()})

    @property
    def framework(self) -> str:
        """The framework and its version."""
        return self._first.framework

    def describe(self) -> LocationSnapshot:
        """Describe everything that is defined."""
        return self._joined.snapshot

    def warm_up(self) -> None:
        """Do what a first run would pay for; see the port."""
        self._first.warm_up()

    def prepare(self, request: RunRequest) -> PreparedRun:
        """Check a request; see the port for what is raised."""
        origin = self._joined.jobs.origin(request.job_name)
        if origin is None:
            names = ", ".join(job.name for job in self._joined.snapshot.jobs)
            text = f"There is no job {request.job_name!r} here: choose one of {names}."
            raise InvalidRequestError([FieldViolation(field="job_name", description=text)])
        own = RunRequest()
        own.CopyFrom(request)
        own.job_name = origin.name
        return self._members[origin.repository].prepare(own)

    def evaluate_schedule(
        self, name: str, *, scheduled_at: datetime, place: EvaluationPlace | None = None
    ) -> ScheduleAnswer:
        """Ask a schedule; see the port for what is raised."""
        origin = self._joined.schedules.origin(name)
        if origin is None:
            raise UnknownDefinitionError(name, kind="schedule")
        member = self._members[origin.repository]
        answer = member.evaluate_schedule(origin.name, scheduled_at=scheduled_at, place=place)
        self._rename(answer.runs, repository=origin.repository)
        return answer

    def evaluate_sensor(self, name: str, *, tick: SensorTick) -> SensorAnswer:
        """Ask a sensor; see the port for what is raised."""
        origin = self._joined.sensors.origin(name)
        if origin is None:
            raise UnknownDefinitionError(name, kind="sensor")
        answer = self._members[origin.repository].evaluate_sensor(origin.name, tick=tick)
        self._rename(answer.runs, repository=origin.repository)
        return answer

    def _rename(self, runs: Iterable[RequestedRun], *, repository: str) -> None:
        for run in runs:
            run.job_name = self._joined.jobs.shown(repository, run.job_name)
