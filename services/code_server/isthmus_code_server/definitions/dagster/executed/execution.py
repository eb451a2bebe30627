"""Executes one resolved request in this process and tells every event of it."""

import os
import socket
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.clock import now, timestamp
from isthmus_code_server.definitions.dagster.executed.own_run import own_run
from isthmus_code_server.definitions.dagster.executed.planning import planned_events
from isthmus_code_server.definitions.dagster.executed.step_channel import unpickled
from isthmus_code_server.definitions.dagster.executed.step_site import StepSite
from isthmus_code_server.definitions.dagster.executed.step_worker import StepContext, serve_step
from isthmus_code_server.definitions.dagster.values.encodable import encodable
from isthmus_code_server.definitions.dagster.values.failure import (
    failure_from_exception,
    failure_from_step,
    user_failure,
)
from isthmus_code_server.definitions.dagster.values.translation import translate
from isthmus_code_server.definitions.port import DeathWatch, EventSink, RunPlace, SpawnStep

if TYPE_CHECKING:
    from dagster import DagsterRun
    from dagster._core.definitions.job_base import IJob
    from dagster._core.events import DagsterEvent
    from dagster._core.events.log import EventLogEntry

    from isthmus_code_server.definitions.dagster.asked.instance import RunInstance
    from isthmus_code_server.definitions.dagster.executed.request import ResolvedRequest
    from isthmus_code_server.definitions.dagster.executed.run_job import RunOrigin

_UNEXPECTED_TERMINATION = "UNEXPECTED_TERMINATION"


class DagsterRunExecution:
    """One run, to be executed once."""

    def __init__(
        self,
        request: "ResolvedRequest",
        *,
        run_instance: "RunInstance",
        site: StepSite,
        origin: "RunOrigin | None" = None,
    ) -> None:
        """Take a request.

        Args:
            request: What to execute.
            run_instance: The instance that the run asks.
            site: Where its steps meet it.
            origin: Where its job is from; None for a job of our own.
        """
        self._request = request
        self._origin = origin
        self._run_instance = run_instance
        self._site = site
        self._sink: EventSink = _drop
        self._place = RunPlace()
        self._retries: Counter[str] = Counter()
        self._terminal: pb.Event | None = None
        #: What the deaths of steps' processes mean for the run, by step, until it is told what becomes of the step.
        self._deaths: dict[str, pb.RunFailed] = {}
        self._has_step_failed = False
        #: What the first step that failed died of; None when it failed by itself.
        self._death: pb.RunFailed | None = None
        self._is_canceled = False

    def execute(self, sink: EventSink, *, place: RunPlace) -> None:
        """Execute the run in this process and hand every event on, the terminal one last; see PreparedRun."""
        self._sink = sink
        self._place = place
        self._site.run = self
        run = self._dagster_run()
        self._run_instance.begin(run, sink=self._take, place=place)
        try:
            self._tell_start()
            self._drive(run)
        except BaseException as error:  # noqa: BLE001  # the run's process ends here: what ended it has to be told
            if self._terminal is None:
                self._terminal = _failed(failure_from_exception(error), reason=_reason_of(error))
        if self._is_canceled or (place.is_cancel_requested() and not self._has_succeeded):
            return
        sink(self._terminal or _failed(pb.Failure(), reason=pb.RUN_REASON_INTERNAL_ERROR))

    # ------------------------------------------------------------------------------------------------------- steps

    @property
    def is_cancel_requested(self) -> bool:
        """Whether someone asked for the run to end."""
        return self._place.is_cancel_requested()

    @property
    def spawn_step(self) -> SpawnStep | None:
        """Starts a process for a step; None where it may be forked off this one."""
        return self._place.spawn_step

    @property
    def claiming(self) -> pb.RunRef | None:
        """The attempt whose steps claim slots of their pools; None where they need not."""
        return self._place.attempt if self._request.claims_slots else None

    @property
    def deaths(self) -> DeathWatch:
        """Tells what the processes of steps died of."""
        return self._place.deaths

    def hand_on(self, event: pb.Event) -> None:
        """Take an event that a step's process told."""
        if event.HasField("step_failed"):
            self._note_failure(event.step_key)
        self._sink(event)

    def step_died(self, step_key: str, *, death: pb.RunFailed) -> None:
        """Take notice that a step's process ended without a word; see RunOfSteps."""
        self._deaths[step_key] = death

    @property
    def written(self) -> int:
        """How many of the run's events are in its journal."""
        return self._place.written()

    def become_step(self, step_key: str, *, retry_number: int, sink: EventSink, written: Callable[[], int]) -> None:
        """Turn, in the step's own process, into that step; see RunOfSteps."""
        self._run_instance.become_step(written)
        self._place.enter_step(step_key)
        self._sink = sink
        self._retries[step_key] = retry_number

    def execute_step(self, channel: socket.socket, *, step: bytes, place: RunPlace) -> None:
        """Execute one step of a run that is executed in another process; see PreparedRun."""
        run = self._dagster_run()
        self._place = place
        self._run_instance.begin(run, sink=self._take, place=place)
        context = StepContext(
            job=self._job(),
            dagster_run=run,
            run_config=self._request.run_config,
            instance=self._run_instance.instance,
        )
        serve_step(channel, unpickled(step), run=self, context=context)

    # --------------------------------------------------------------------------------------------------------- run

    @property
    def _has_succeeded(self) -> bool:
        return self._terminal is not None and self._terminal.HasField("run_succeeded")

    def _job(self) -> "IJob":
        from dagster._core.definitions.job_base import InMemoryJob

        if self._origin is None:
            return InMemoryJob(self._request.job)
        return self._origin.job(self._request.job, selection=self._request.selection)

    def _dagster_run(self) -> "DagsterRun":
        from dagster import DagsterRunStatus

        request = self._request
        return own_run(
            request.job,
            run_id=request.run_id,
            run_config=request.run_config,
            asset_selection=request.selection.assets or None,
            asset_check_selection=request.selection.checks,
            op_selection=list(request.selection.ops) or None,
            resolved_op_selection=request.job.op_selection if request.selection.ops else None,
            tags=request.tags,
            step_keys_to_execute=list(request.step_keys) or None,
            parent_run_id=request.parent_run_id or None,
            root_run_id=request.root_run_id or None,
            status=DagsterRunStatus.STARTING,
        )

    def _drive(self, run: "DagsterRun") -> None:
        """Do what Dagster's execute_run_iterator does, without building the subset and the plan once more."""
        from dagster._core.execution.api import ExecuteRunWithPlanIterable, job_execution_iterator
        from dagster._core.execution.context_creation_job import (
            PlanOrchestrationContextManager,
            orchestration_context_event_generator,
        )

        request = self._request
        for _ in ExecuteRunWithPlanIterable(
            execution_plan=request.plan,
            iterator=job_execution_iterator,
            execution_context_manager=PlanOrchestrationContextManager(
                context_event_generator=orchestration_context_event_generator,
                job=self._job(),
                execution_plan=request.plan,
                dagster_run=run,
                instance=self._run_instance.instance,
                run_config=request.run_config,
                raise_on_error=False,
                executor_defs=None,
                output_capture=None,
            ),
        ):
            pass  # Every event was handed on by the instance's event storage when it was logged.

    def _tell_start(self) -> None:
        event = pb.Event(
            occurred_at=now(),
            message=f'Started execution of job "{self._request.job.name}" (pid: {os.getpid()}).',
        )
        event.run_started.pid = os.getpid()
        event.run_started.step_keys.extend(self._request.plan.step_keys_to_execute)
        event.run_started.tags.update({encodable(key): encodable(text) for key, text in self._request.tags.items()})
        self._sink(event)
        for planned in planned_events(self._request, instance=self._run_instance.instance):
            self._sink(planned)

    # ------------------------------------------------------------------------------------------- what Dagster says

    def _take(self, entry: "EventLogEntry") -> None:
        """Hand an entry on; the run's own end is kept until everything else is told."""
        kind = entry.dagster_event.event_type_value if entry.dagster_event is not None else ""
        match kind:
            case "PIPELINE_START":
                return
            case "PIPELINE_SUCCESS":
                self._terminal = self._ended(entry)
                self._terminal.run_succeeded.SetInParent()
            case "PIPELINE_FAILURE":
                self._terminal = self._ended(entry)
                _fill_failure(self._terminal.run_failed, entry.dagster_event, death=self._death)
            case "PIPELINE_CANCELED":
                self._is_canceled = True
            case _:
                self._hand_on(entry, kind)

    def _hand_on(self, entry: "EventLogEntry", kind: str) -> None:
        step_key = entry.step_key or ""
        if kind == "STEP_UP_FOR_RETRY":
            self._retries[step_key] += 1
            self._deaths.pop(step_key, None)
        if kind == "STEP_FAILURE":
            self._note_failure(step_key)
        event = translate(entry, retry_number=self._retries[step_key])
        if event.HasField("asset_check_evaluated"):
            event.asset_check_evaluated.is_blocking = self._is_blocking(entry)
        self._sink(event)

    def _note_failure(self, step_key: str) -> None:
        """Keep what the first failure was: it is the run's."""
        if not self._has_step_failed:
            self._has_step_failed = True
            self._death = self._deaths.get(step_key)

    def _is_blocking(self, entry: "EventLogEntry") -> bool:
        data: Any = entry.dagster_event.event_specific_data if entry.dagster_event is not None else None
        graph = self._request.job.asset_layer.asset_graph
        if data is None or data.asset_check_key not in graph.asset_check_keys:
            return bool(getattr(data, "blocking", False))
        return bool(graph.get_check_spec(data.asset_check_key).blocking)

    def _ended(self, entry: "EventLogEntry") -> pb.Event:
        message = entry.dagster_event.message if entry.dagster_event is not None else ""
        return pb.Event(occurred_at=timestamp(entry.timestamp), message=message or "")


def _drop(event: pb.Event) -> None:
    """Take an event of a run that was not begun: there is none."""


def _fill_failure(body: pb.RunFailed, event: "DagsterEvent | None", *, death: pb.RunFailed | None) -> None:
    data: Any = event.event_specific_data if event is not None else None
    reason = getattr(data, "failure_reason", None)
    is_interrupted = reason is not None and reason.value == _UNEXPECTED_TERMINATION
    body.reason = pb.RUN_REASON_PROCESS_KILLED if is_interrupted else pb.RUN_REASON_USER_ERROR
    if death is not None and not is_interrupted:
        body.MergeFrom(death)
    first = getattr(data, "first_step_failure_event", None)
    if first is not None:
        body.failure.CopyFrom(failure_from_step(first.step_failure_data))
        body.step_key = first.step_key or ""
    elif getattr(data, "error", None) is not None:
        body.failure.CopyFrom(user_failure(data.error))


def _failed(failure: pb.Failure, *, reason: "pb.RunReason.ValueType") -> pb.Event:
    event = pb.Event(occurred_at=now(), message="The run ended before it could be completed.")
    event.run_failed.reason = reason
    event.run_failed.failure.CopyFrom(failure)
    return event


def _reason_of(error: BaseException) -> "pb.RunReason.ValueType":
    """Judge an exception that Dagster let out: an interrupt comes from outside, anything else is a fault."""
    from dagster._core.errors import DagsterExecutionInterruptedError

    if isinstance(error, KeyboardInterrupt | DagsterExecutionInterruptedError):
        return pb.RUN_REASON_PROCESS_KILLED
    return pb.RUN_REASON_INTERNAL_ERROR
