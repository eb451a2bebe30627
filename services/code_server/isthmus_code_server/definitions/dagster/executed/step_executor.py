"""Dagster's multiprocess executor, with its processes forked off the run's own instead of started anew.

What runs when, how often, and what a step that dies means, is Dagster's: its `ActiveExecution` decides, and its own
executor's settings are taken over. The loop differs in one thing: it waits for what happens, where Dagster's looks
every twenty milliseconds.
"""

import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from inspect import signature
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from dagster import MetadataValue
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterSubprocessError
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.executor.base import Executor
from dagster._core.executor.child_process_executor import ChildProcessCrashException
from dagster._utils import get_run_crash_explanation
from dagster._utils.error import serializable_error_info_from_exc_info
from isthmus.v1.telemetry_pb2 import Event

from isthmus_code_server.definitions.dagster.executed.slot_claims import SlotClaims, priority_of
from isthmus_code_server.definitions.dagster.executed.step_channel import StepFrame, unpickled
from isthmus_code_server.definitions.dagster.executed.step_site import StepSite
from isthmus_code_server.definitions.dagster.executed.step_worker import StepContext, StepOrder, StepWorker, start_step

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan
    from dagster._core.execution.retries import RetryMode
    from dagster._core.execution.step_dependency_config import StepDependencyConfig

#: How often the watch over steps' processes looks around while none of them says anything, seconds.
_LOOK_INTERVAL_S = 5.0
#: What a step that was interrupted ends with.
_INTERRUPTED_NAMES = frozenset({"DagsterExecutionInterruptedError", "KeyboardInterrupt"})


class ForkedStepsExecutor(Executor):
    """Runs each step in a process forked off the run's."""

    def __init__(self, original: Executor, *, site: StepSite) -> None:
        """Take over the settings of Dagster's multiprocess executor."""
        self._original: Any = original
        self._site = site

    @property
    def retries(self) -> "RetryMode":
        """How retries are dealt with."""
        return self._original.retries  # type: ignore[no-any-return]  # the original is untyped on purpose

    @property
    def step_dependency_config(self) -> "StepDependencyConfig":
        """When a step may start."""
        return self._original.step_dependency_config  # type: ignore[no-any-return]  # as above

    @property
    def max_concurrent(self) -> int:
        """How many steps may run at a time."""
        return int(self._original._max_concurrent)  # noqa: SLF001  # Dagster keeps it to itself

    def execute(
        self, plan_context: "PlanOrchestrationContext", execution_plan: "ExecutionPlan"
    ) -> Iterator[DagsterEvent]:
        """Execute the plan; yields what happens to the run as a whole, as Dagster's executor does."""
        yield DagsterEvent.engine_event(
            plan_context,
            f"Executing steps using multiprocess executor: parent process (pid: {os.getpid()})",
            event_specific_data=EngineEventData.multiprocess(
                os.getpid(), step_keys_to_execute=execution_plan.step_keys_to_execute
            ),
        )
        began = time.monotonic()
        with ExitStack() as stack:
            slots = self._claims(plan_context)
            if slots is not None:
                stack.enter_context(slots)
            active = stack.enter_context(self._active(execution_plan, slots))
            steps = _Steps(self, plan_context, active=active, slots=slots, site=self._site)
            stack.enter_context(steps.hearing())
            yield from steps.run()
        yield DagsterEvent.engine_event(
            plan_context,
            f"Multiprocess executor: parent process exiting after {time.monotonic() - began:.2f}s (pid: {os.getpid()})",
            event_specific_data=EngineEventData.multiprocess(os.getpid()),
        )

    def _claims(self, plan_context: "PlanOrchestrationContext") -> SlotClaims | None:
        """Return what the run's steps claim slots with; None where they need none."""
        attempt = self._site.current.claiming
        if attempt is None:
            return None
        return SlotClaims(attempt, priority=priority_of(plan_context.dagster_run.tags))

    def _active(self, plan: "ExecutionPlan", slots: SlotClaims | None) -> ActiveExecution:
        settings: dict[str, Any] = {
            "retry_mode": self.retries,
            "max_concurrent": self.max_concurrent,
            "tag_concurrency_limits": self._original._tag_concurrency_limits,  # noqa: SLF001  # see above
            "instance_concurrency_context": slots,
        }
        # Older versions of Dagster know no such thing.
        if "step_dependency_config" in signature(ActiveExecution).parameters:
            settings["step_dependency_config"] = self.step_dependency_config
        return ActiveExecution(plan, **settings)

    def failure_or_retry(self, step_context: Any, error: Any, known_state: Any) -> DagsterEvent:
        """Log that a step failed without saying so itself, or that it is to be retried."""
        older = "get_failure_or_retry_event_after_crash"
        decide: Any = getattr(self, "log_failure_or_retry_event_after_error", None) or getattr(self, older)
        event: DagsterEvent = decide(step_context, error, known_state)
        return event

    @property
    def must_fail_step_of_resource(self) -> bool:
        """Whether a resource that could not be made leaves it to the executor to fail the step, as of Dagster 1.11."""
        return hasattr(self, "log_failure_or_retry_event_after_error")


class _Steps:
    """The steps of one run, as they come and go."""

    def __init__(
        self,
        executor: ForkedStepsExecutor,
        context: "PlanOrchestrationContext",
        *,
        active: ActiveExecution,
        slots: SlotClaims | None,
        site: StepSite,
    ) -> None:
        self._executor = executor
        self._context = context
        self._active = active
        self._slots = slots
        self._run = site.current
        self._shared = StepContext(
            job=context.job,
            dagster_run=context.dagster_run,
            run_config=context.run_config,
            instance=context.instance,
        )
        #: By process id: a step may be tried again before the process of its last try is gone.
        self._workers: dict[int, StepWorker] = {}
        #: By process id.
        self._errors: dict[int, Any] = {}
        self._is_stopping = False
        self._selector = selectors.DefaultSelector()

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Have signals, the deaths of children among them, wake the loop."""
        wakeup_in, wakeup_out = socket.socketpair()
        wakeup_in.setblocking(False)
        wakeup_out.setblocking(False)
        fd_before = signal.set_wakeup_fd(wakeup_out.fileno(), warn_on_full_buffer=False)
        handler_before = signal.signal(signal.SIGCHLD, _wake)
        try:
            with self._selector, wakeup_in, wakeup_out:
                self._selector.register(wakeup_in, selectors.EVENT_READ)
                if self._slots is not None:
                    self._selector.register(self._slots, selectors.EVENT_READ)
                yield
        finally:
            signal.signal(signal.SIGCHLD, handler_before)
            signal.set_wakeup_fd(fd_before)

    def run(self) -> Iterator[DagsterEvent]:
        """Start steps as they become ready and hear them, until all is done."""
        try:
            while self._workers or not (self._is_stopping or self._active.is_complete):
                yield from self._heed_interrupts()
                if self._slots is not None:
                    self._slots.hear()
                if not self._is_stopping:
                    yield from self._start_ready()
                for worker in self._wait():
                    yield from self._hear(worker)
                yield from self._active.plan_events_iterator(self._context)
                self._run.deaths.look()
        except Exception:
            yield from self._abort()
            raise
        yield from self._judge()

    # ------------------------------------------------------------------------------------------------------- start

    def _start_ready(self) -> Iterator[DagsterEvent]:
        room = self._executor.max_concurrent - len(self._workers)
        steps = self._active.get_steps_to_execute(limit=room)
        if self._slots is not None:
            self._slots.ask(room=room - len(steps))
        yield from self._active.concurrency_event_iterator(self._context)
        for step in steps:
            yield DagsterEvent.step_worker_starting(
                self._context.for_step(step), f'Launching subprocess for "{step.key}".', metadata={}
            )
            order = StepOrder(
                step_key=step.key, known_state=self._active.get_known_state(), retry_mode=self._executor.retries
            )
            worker = start_step(order, run=self._run, context=self._shared)
            self._workers[worker.pid] = worker
            self._selector.register(worker.channel, selectors.EVENT_READ, worker)

    def _wait(self) -> list[StepWorker]:
        """Wait for a step to speak or die, a signal, a retry's time or a pool's slot; returns whom to hear."""
        speaking: list[StepWorker] = []
        for key, _ in self._selector.select(self._timeout_s()):
            if isinstance(key.data, StepWorker):
                speaking.append(key.data)
            elif isinstance(key.fileobj, socket.socket):
                key.fileobj.recv(4096)
                # Who has died, nobody says.
                return list(self._workers.values())
        return speaking

    def _timeout_s(self) -> float:
        """Return for how long there is nothing to do but hear, seconds."""
        active: Any = self._active
        interval = float(active.sleep_interval())
        if self._slots is not None and self._slots.has_pending_claims():
            return _LOOK_INTERVAL_S if self._is_stopping else min(max(interval, 0.0), _LOOK_INTERVAL_S)
        if interval > 0:
            return min(interval, _LOOK_INTERVAL_S)
        # Without a process to hear, whatever was skipped or abandoned makes other steps ready.
        return _LOOK_INTERVAL_S if self._workers and interval == 0 else 0.0

    # -------------------------------------------------------------------------------------------------------- hear

    def _hear(self, worker: StepWorker) -> Iterator[DagsterEvent]:
        # Asked before it is heard: what it said before it went is heard then.
        is_gone = worker.reap()
        for kind, payload in worker.hearer.hear():
            match kind:
                case StepFrame.EVENT:
                    self._run.hand_on(Event.FromString(payload))
                case StepFrame.VERDICT:
                    yield from self._take(worker, unpickled(payload))
                case StepFrame.SYNC:
                    worker.hearer.tell_written(self._run.written)
                case StepFrame.ERROR:
                    self._errors[worker.pid] = unpickled(payload)
                    worker.is_complete = True
                case StepFrame.DONE:
                    worker.is_complete = True
        if is_gone:
            yield from self._conclude(worker)
        elif worker.hearer.has_ended:
            # Its end is a signal of its own; a closed channel would only keep the loop awake.
            self._forget_channel(worker)

    def _take(self, worker: StepWorker, event: DagsterEvent) -> Iterator[DagsterEvent]:
        yield event
        self._active.handle_event(event)
        worker.has_verdict = worker.has_verdict or _is_verdict(event)
        if event.is_resource_init_failure and self._executor.must_fail_step_of_resource:
            yield from self._fail_or_retry(worker, event.engine_event_data.error)

    def _fail_or_retry(self, worker: StepWorker, error: Any) -> Iterator[DagsterEvent]:
        event = self._executor.failure_or_retry(self._step_context(worker), error, self._active.get_known_state())
        self._active.handle_event(event)
        worker.has_verdict = True
        if event.is_step_failure and not worker.is_complete and worker.status is not None:
            self._errors[worker.pid] = error
        yield event

    def _conclude(self, worker: StepWorker) -> Iterator[DagsterEvent]:
        """See to the end of a process."""
        if not worker.is_complete:
            yield from self._mourn(worker)
        self._forget_channel(worker)
        worker.channel.close()
        del self._workers[worker.pid]
        if not worker.has_verdict:
            self._active.verify_complete(self._context, worker.step_key)

    def _mourn(self, worker: StepWorker) -> Iterator[DagsterEvent]:
        """Tell of a process that died without a word, as Dagster does."""
        error = _crash(worker)
        self._run.step_died(worker.step_key, death=worker.explain_death(worker.status or 0))
        yield DagsterEvent.engine_event(
            self._step_context(worker),
            get_run_crash_explanation(
                prefix=f"Multiprocess executor: child process for step {worker.step_key}", exit_code=worker.exit_code
            ),
            EngineEventData.engine_error(error),
        )
        # What it does to itself after its verdict changes nothing of that.
        if not worker.has_verdict:
            yield from self._fail_or_retry(worker, error)

    def _step_context(self, worker: StepWorker) -> Any:
        return self._context.for_step(self._active.get_step_by_key(worker.step_key))

    def _forget_channel(self, worker: StepWorker) -> None:
        if worker.channel in self._selector.get_map():
            self._selector.unregister(worker.channel)

    # --------------------------------------------------------------------------------------------------------- end

    def _heed_interrupts(self) -> Iterator[DagsterEvent]:
        if not self._active.check_for_interrupts():
            return
        yield DagsterEvent.engine_event(
            self._context,
            "Multiprocess executor: received termination signal - forwarding to active child processes",
            EngineEventData.interrupted(self._step_keys()),
        )
        self._is_stopping = True
        self._active.mark_interrupted()
        # Who cancels a run signals all of its processes at once; one interrupt is enough for each.
        if not self._run.is_cancel_requested:
            self._interrupt_all()

    def _step_keys(self) -> list[str]:
        return [worker.step_key for worker in self._workers.values()]

    def _interrupt_all(self) -> None:
        for worker in self._workers.values():
            worker.interrupt()

    def _abort(self) -> Iterator[DagsterEvent]:
        """End the steps that still run, because something unexpected ends the run."""
        if self._is_stopping or not self._workers:
            return
        yield DagsterEvent.engine_event(
            self._context,
            "Unexpected exception while steps were still in-progress - terminating running steps:",
            event_specific_data=EngineEventData(
                metadata={"steps_interrupted": MetadataValue.text(str(self._step_keys()))},
                error=serializable_error_info_from_exc_info(sys.exc_info()),
            ),
        )
        self._interrupt_all()

    def _judge(self) -> Iterator[DagsterEvent]:
        """Raise what the run as a whole ends with, if it does not end well."""
        errors = {pid: error for pid, error in self._errors.items() if error}
        if self._is_stopping and all(error.cls_name in _INTERRUPTED_NAMES for error in errors.values()):
            yield DagsterEvent.engine_event(
                self._context,
                "Multiprocess executor: interrupted all active child processes",
                event_specific_data=EngineEventData(),
            )
            raise DagsterExecutionInterruptedError
        if errors:
            told = "\n".join(f"In process {pid}: {error.to_string()}" for pid, error in errors.items())
            error_class: Any = DagsterSubprocessError
            raise error_class(
                f"During multiprocess execution errors occurred in child processes:\n{told}",
                subprocess_error_infos=list(errors.values()),
            )


def _is_verdict(event: DagsterEvent) -> bool:
    return event.is_step_success or event.is_step_failure or event.is_step_up_for_retry


def _crash(worker: StepWorker) -> Any:
    """Return Dagster's own account of a process that died without a word."""
    try:
        _raise_crash(worker)
    except ChildProcessCrashException:
        return serializable_error_info_from_exc_info(sys.exc_info())


def _raise_crash(worker: StepWorker) -> NoReturn:
    crash_class: Any = ChildProcessCrashException
    raise crash_class(pid=worker.pid, exit_code=worker.exit_code)


def _wake(signal_number: int, stack: FrameType | None) -> None:
    """Let the wakeup descriptor become readable, which is all that is needed."""
