"""One step's process: how it is forked, what it does, and how the run's process hears of it and ends it."""

import os
import pickle
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from isthmus_code_server.definitions.dagster.executed.step_channel import StepHearer, StepSpeaker
from isthmus_code_server.definitions.dagster.executed.step_site import RunOfSteps
from isthmus_code_server.definitions.late import late_event
from isthmus_code_server.definitions.port import ExplainDeath
from isthmus_code_server.kernel.process import (
    Ending,
    die_with_parent,
    disown_finalizers,
    end_in_time,
    exit_code_of,
    reseed,
    reset_signals,
)
from isthmus_code_server.kernel.threads import finish

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun
    from dagster._core.definitions.job_base import IJob
    from dagster._core.events import DagsterEvent
    from dagster._core.execution.plan.state import KnownExecutionState
    from dagster._core.execution.retries import RetryMode

#: What tells a run's processes to end.
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, kw_only=True)
class StepOrder:
    """What a step's process is to do."""

    step_key: str
    known_state: "KnownExecutionState"
    retry_mode: "RetryMode"

    @property
    def retry_number(self) -> int:
        """How many times the step was retried before."""
        return self.known_state.get_retry_state().get_attempt_count(self.step_key)


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """What a step's process has of its run."""

    job: "IJob"
    dagster_run: "DagsterRun"
    run_config: Mapping[str, object]
    instance: "DagsterInstance"


@dataclass(kw_only=True, eq=False)
class StepWorker:
    """A step's process, from the run's side."""

    step_key: str
    pid: int
    channel: socket.socket
    hearer: StepHearer
    explain_death: ExplainDeath
    #: Whether it said that nothing follows.
    is_complete: bool = False
    #: Whether the step succeeded, failed, or is to be tried again.
    has_verdict: bool = False
    #: As waitpid gave it; None while the process lives.
    status: int | None = None

    def reap(self) -> bool:
        """Tell whether the process is gone."""
        if self.status is None:
            reaped, status = os.waitpid(self.pid, os.WNOHANG)
            if reaped == self.pid:
                self.status = status
        return self.status is not None

    @property
    def exit_code(self) -> int:
        """The exit code, or the signal that ended the process, negated."""
        return os.waitstatus_to_exitcode(self.status or 0)

    def interrupt(self) -> None:
        """Ask the process to end: Dagster lets the step clean up."""
        if self.status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGINT)


def start_step(order: StepOrder, *, run: RunOfSteps, context: StepContext) -> StepWorker:
    """Start a process for a step: forked off this one, or spawned where the run says so."""
    explain_death = run.deaths.begin()
    ours, theirs = socket.socketpair()
    with theirs, _no_interrupts():
        pid = _fork(ours, theirs, order, run=run, context=context) if run.spawn_step is None else 0
        if run.spawn_step is not None:
            pid = run.spawn_step(ours, theirs, step=pickle.dumps(order))
        if signal.sigpending() & set(_INTERRUPTS):
            # It was sent to the group when the step was not in it yet.
            os.kill(pid, signal.SIGINT)
    return StepWorker(
        step_key=order.step_key, pid=pid, channel=ours, hearer=StepHearer(ours), explain_death=explain_death
    )


def _fork(
    ours: socket.socket, theirs: socket.socket, order: StepOrder, *, run: RunOfSteps, context: StepContext
) -> int:
    run_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _be_step(lambda: serve_step(theirs, order, run=run, context=context), run_pid=run_pid)
    return pid


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold interrupts back while the process forks: one must not be lost between the handlers of parent and child."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)


def _be_step(serve: Callable[[], None], *, run_pid: int) -> NoReturn:
    """Do a step's work and end; nothing returns into the run's loop."""
    exit_code = 1
    try:
        reset_signals()
        disown_finalizers()
        die_with_parent(run_pid)
        reseed()
        serve()
        exit_code = 0
    except SystemExit as exit_request:
        exit_code = exit_code_of(exit_request)
    except BaseException:  # noqa: BLE001  # nothing may return into the run's loop
        traceback.print_exc()
    finally:
        end_in_time(Ending(exit_code=exit_code))


def serve_step(channel: socket.socket, order: StepOrder, *, run: RunOfSteps, context: StepContext) -> None:
    """Execute the step and tell of it. What ends the process in another way, its parent sees by its exit."""
    from dagster._core.errors import DagsterExecutionInterruptedError
    from dagster._utils.error import serializable_error_info_from_exc_info
    from dagster._utils.interrupts import capture_interrupts, pop_captured_interrupt

    speaker = StepSpeaker(channel)
    # What the run's process had captured is for the run's process.
    pop_captured_interrupt()
    with capture_interrupts():
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
            run.become_step(order.step_key, retry_number=order.retry_number, sink=speaker.event, written=speaker.synced)
            for event in _execute(order, context):
                if _moves_plan(event):
                    speaker.verdict(event)
            speaker.done()
        except (Exception, KeyboardInterrupt, DagsterExecutionInterruptedError):  # noqa: BLE001  # it is told
            speaker.error(serializable_error_info_from_exc_info(sys.exc_info()))
    finish(lambda report: speaker.event(late_event(report, step_key=order.step_key)), exit_code=0)


def _execute(order: StepOrder, context: StepContext) -> "Iterator[DagsterEvent]":
    """Do what Dagster's multiprocess executor does in a step's process."""
    from dagster import MetadataValue
    from dagster._core.events import DagsterEvent
    from dagster._core.execution.api import create_execution_plan, execute_plan_iterator
    from dagster._core.execution.context_creation_job import create_context_free_log_manager

    yield DagsterEvent.step_worker_started(
        create_context_free_log_manager(context.instance, context.dagster_run),
        context.dagster_run.job_name,
        message=f'Executing step "{order.step_key}" in subprocess.',
        metadata={"pid": MetadataValue.text(str(os.getpid()))},
        step_key=order.step_key,
    )
    plan = create_execution_plan(
        context.job,
        run_config=context.run_config,
        step_keys_to_execute=[order.step_key],
        known_state=order.known_state,
    )
    yield from execute_plan_iterator(
        plan,
        context.job,
        context.dagster_run,
        run_config=context.run_config,
        retry_mode=order.retry_mode.for_inner_plan(),
        instance=context.instance,
    )


def _moves_plan(event: "DagsterEvent") -> bool:
    """Tell whether the run's process has to know of an event: the journal has them all already."""
    told: Any = event
    return bool(
        told.is_successful_output
        or told.is_step_success
        or told.is_step_failure
        or told.is_step_up_for_retry
        or told.is_resource_init_failure
    )
