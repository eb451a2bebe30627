"""Executes one resolved request in this process and tells every event of it."""

import os
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.clock import now, timestamp
from isthmus_code_server.definitions.dagster.failure import (
    failure_from_exception,
    failure_from_step,
    user_failure,
)
from isthmus_code_server.definitions.dagster.metadata import asset_key
from isthmus_code_server.definitions.dagster.translation import translate
from isthmus_code_server.definitions.port import EventSink

if TYPE_CHECKING:
    from dagster import DagsterRun
    from dagster._core.events import DagsterEvent
    from dagster._core.events.log import EventLogEntry

    from isthmus_code_server.definitions.dagster.instance import RunInstance
    from isthmus_code_server.definitions.dagster.request import ResolvedRequest

_UNEXPECTED_TERMINATION = "UNEXPECTED_TERMINATION"


class DagsterRunExecution:
    """One run, to be executed once."""

    def __init__(self, request: "ResolvedRequest", *, run_instance: "RunInstance") -> None:
        self._request = request
        self._run_instance = run_instance
        self._sink: EventSink = _drop
        self._retries: Counter[str] = Counter()
        self._terminal: pb.Event | None = None
        self._is_canceled = False

    def execute(self, sink: EventSink, *, is_cancel_requested: Callable[[], bool]) -> None:
        """Execute the run in this process and hand every event on, the terminal one last; see PreparedRun."""
        self._sink = sink
        run = self._dagster_run()
        self._run_instance.begin(run, sink=self._take, is_cancel_requested=is_cancel_requested)
        self._tell_start()
        try:
            self._drive(run)
        except BaseException as error:  # noqa: BLE001  # the run's process ends here: what ended it has to be told
            if self._terminal is None:
                self._terminal = _failed(failure_from_exception(error), reason=_reason_of(error))
        if self._is_canceled or (is_cancel_requested() and not self._has_succeeded):
            return
        sink(self._terminal or _failed(pb.Failure(), reason=pb.RUN_REASON_INTERNAL_ERROR))

    @property
    def _has_succeeded(self) -> bool:
        return self._terminal is not None and self._terminal.HasField("run_succeeded")

    def _dagster_run(self) -> "DagsterRun":
        from dagster import DagsterRun, DagsterRunStatus

        request = self._request
        return DagsterRun(
            job_name=request.job.name,
            run_id=request.run_id,
            run_config=request.run_config,
            asset_selection=request.selection.assets or None,
            asset_check_selection=request.selection.checks,
            op_selection=list(request.selection.ops) or None,
            resolved_op_selection=request.job.op_selection if request.selection.ops else None,
            tags=request.tags,
            status=DagsterRunStatus.STARTING,
        )

    def _drive(self, run: "DagsterRun") -> None:
        """Do what Dagster's execute_run_iterator does, without building the subset and the plan once more."""
        from dagster._core.definitions.job_base import InMemoryJob
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
                job=InMemoryJob(request.job),
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
        self._sink(event)
        for planned in self._planned():
            self._sink(planned)

    def _planned(self) -> list[pb.Event]:
        """Tell which assets and checks the plan's steps are to make."""
        partition = self._request.tags.get("dagster/partition", "")
        events: list[pb.Event] = []
        for step_key in self._request.plan.step_keys_to_execute:
            step: Any = self._request.plan.get_step_by_key(step_key)
            for output in step.step_outputs:
                event = _planned_event(output.properties, partition=partition)
                if event is not None:
                    event.step_key = step_key
                    events.append(event)
        return events

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
                _fill_failure(self._terminal.run_failed, entry.dagster_event)
            case "PIPELINE_CANCELED":
                self._is_canceled = True
            case _:
                self._hand_on(entry, kind)

    def _hand_on(self, entry: "EventLogEntry", kind: str) -> None:
        step_key = entry.step_key or ""
        if kind == "STEP_UP_FOR_RETRY":
            self._retries[step_key] += 1
        event = translate(entry, retry_number=self._retries[step_key])
        if event.HasField("asset_check_evaluated"):
            event.asset_check_evaluated.is_blocking = self._is_blocking(entry)
        self._sink(event)

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


def _planned_event(properties: Any, *, partition: str) -> pb.Event | None:
    event = pb.Event(occurred_at=now())
    if properties.asset_key is not None:
        event.asset_planned.asset.CopyFrom(asset_key(properties.asset_key))
        event.asset_planned.partition = partition
    elif properties.asset_check_key is not None:
        event.asset_check_planned.asset.CopyFrom(asset_key(properties.asset_check_key.asset_key))
        event.asset_check_planned.check_name = properties.asset_check_key.name
        event.asset_check_planned.partition = partition
    else:
        return None
    return event


def _fill_failure(body: pb.RunFailed, event: "DagsterEvent | None") -> None:
    data: Any = event.event_specific_data if event is not None else None
    reason = getattr(data, "failure_reason", None)
    is_interrupted = reason is not None and reason.value == _UNEXPECTED_TERMINATION
    body.reason = pb.RUN_REASON_PROCESS_KILLED if is_interrupted else pb.RUN_REASON_USER_ERROR
    first = getattr(data, "first_step_failure_event", None)
    if first is not None:
        body.failure.CopyFrom(failure_from_step(first.step_failure_data))
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
