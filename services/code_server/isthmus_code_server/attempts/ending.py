"""Decides how an attempt ended and how it is ended; no I/O."""

import math
import os
import signal
from dataclasses import dataclass

from isthmus.v1.telemetry_pb2 import Event, ProcessExit, RunCanceled, RunFailed, RunReason, RunSucceeded

from isthmus_code_server.definitions.clock import now


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildExit:
    """How a child's process ended."""

    #: None when a signal ended it, or when nobody saw how it ended.
    exit_code: int | None
    #: 0 when no signal did.
    signal: int
    #: How many processes it had left behind, which were ended.
    left: int = 0

    @classmethod
    def from_status(cls, status: int, *, left: int = 0) -> "ChildExit":
        """Read a status as waitpid gives it."""
        if os.WIFSIGNALED(status):
            return cls(exit_code=None, signal=os.WTERMSIG(status), left=left)
        return cls(exit_code=os.waitstatus_to_exitcode(status), signal=0, left=left)

    @property
    def is_known(self) -> bool:
        """Whether somebody saw how it ended."""
        return self.exit_code is not None or self.signal != 0

    @property
    def is_clean(self) -> bool:
        """Whether it ended by itself, and well."""
        return self.exit_code == 0

    def to_proto(self, *, is_out_of_memory: bool = False) -> ProcessExit:
        """Write it as the contract does."""
        return ProcessExit(exit_code=self.exit_code, signal=self.signal, is_out_of_memory=is_out_of_memory)


#: The process ended together with the zygote, the only one that could have seen how.
UNSEEN_EXIT = ChildExit(exit_code=None, signal=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryKills:
    """How many processes the kernel has killed for memory, at one moment."""

    #: In the control group that this process is in; None where the kernel does not count them.
    in_group: int | None = None
    #: On the whole machine.
    in_all: int = 0


def is_out_of_memory(child_exit: ChildExit, *, before: MemoryKills, after: MemoryKills) -> bool:
    """Tell whether a process that ended was killed because memory ran out.

    The group's own count decides where there is one: somewhere on the machine somebody else may run out of memory just
    when an operator kills this run. A process that nobody saw end went with the zygote, which may have been the victim.

    Args:
        child_exit: How the process ended.
        before: The counts at a time when it lived.
        after: The counts now.
    """
    if child_exit.is_known and child_exit.signal != signal.SIGKILL:
        return False
    if before.in_group is not None and after.in_group is not None:
        return after.in_group > before.in_group
    return after.in_all > before.in_all


def terminal_event(
    child_exit: ChildExit, *, cancel_reason: "RunReason.ValueType | None", is_out_of_memory: bool = False
) -> Event:
    """Return the event that ends an attempt whose process left none.

    Args:
        child_exit: How the process ended.
        cancel_reason: Why the attempt was to end; None when nobody asked for it.
        is_out_of_memory: Whether memory had run out.
    """
    event = Event(occurred_at=now())
    if cancel_reason is not None:
        event.message = "The run was canceled and its process is gone."
        event.run_canceled.reason = cancel_reason
        if child_exit.is_known:
            event.run_canceled.exit.CopyFrom(child_exit.to_proto())
        return event
    event.run_failed.reason = RunReason.RUN_REASON_OUT_OF_MEMORY if is_out_of_memory else _reason(child_exit)
    event.message = _OUT_OF_MEMORY if is_out_of_memory else _message(child_exit)
    if child_exit.is_known:
        event.run_failed.exit.CopyFrom(child_exit.to_proto(is_out_of_memory=is_out_of_memory))
    return event


def tell_left(event: Event, *, left: int) -> None:
    """Add to a terminal event how many processes the run had left behind, which were ended."""
    if left:
        body: RunSucceeded | RunFailed | RunCanceled = getattr(event, event.WhichOneof("body") or "run_failed")
        body.ended_processes = left
        what = (
            "A process that it had left behind was" if left == 1 else f"{left} processes that it had left behind were"
        )
        event.message = f"{event.message} {what} ended.".lstrip()


def broken_off(fault: str, child_exit: ChildExit) -> Event:
    """Return the event that ends an attempt which could not be carried on.

    Args:
        fault: What is wrong, as a clause.
        child_exit: How its process ended.
    """
    event = Event(occurred_at=now(), message=f"The run was broken off: {fault}")
    event.run_failed.reason = RunReason.RUN_REASON_INTERNAL_ERROR
    event.run_failed.failure.error_class = "RunBrokenOffError"
    event.run_failed.failure.message = event.message
    if child_exit.is_known:
        event.run_failed.exit.CopyFrom(child_exit.to_proto())
    return event


_OUT_OF_MEMORY = "The run's process was killed because memory ran out."


def _reason(child_exit: ChildExit) -> "RunReason.ValueType":
    if child_exit.signal:
        return RunReason.RUN_REASON_PROCESS_KILLED
    if child_exit.exit_code is not None:
        return RunReason.RUN_REASON_PROCESS_EXITED
    return RunReason.RUN_REASON_WORKER_LOST


def _message(child_exit: ChildExit) -> str:
    if child_exit.signal:
        return f"The run's process was ended by {signal_name(child_exit.signal)} before the run did."
    if child_exit.exit_code is not None:
        return f"The run's process exited with code {child_exit.exit_code} before the run ended."
    return "The run's process ended together with the process that holds the definitions."


def signal_name(number: int) -> str:
    """Name a signal, also one that this Python does not know."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelStep:
    """A rung of the ladder: what is sent, and how long its effect is waited for."""

    signal: signal.Signals
    #: Seconds.
    wait_s: float


#: The part of the grace after which SIGTERM follows SIGINT.
_SIGINT_SHARE = 0.7


#: The longest time that a run is given to clean up, seconds: what asks for more has no end in mind.
MAX_GRACE_S = 24 * 3600.0


def usable_grace(asked_s: float, *, default: float) -> float:
    """Return how long a run may take to clean up, seconds: the default for 0 and for what is no time."""
    if math.isnan(asked_s) or asked_s <= 0:
        return default
    return min(asked_s, MAX_GRACE_S)


def cancel_ladder(grace_s: float) -> tuple[CancelStep, ...]:
    """Return the rungs before SIGKILL, which is for ever and needs no deadline.

    Args:
        grace_s: How long the run may take to clean up in all, seconds.
    """
    interrupt_s = grace_s * _SIGINT_SHARE
    return (
        CancelStep(signal=signal.SIGINT, wait_s=interrupt_s),
        CancelStep(signal=signal.SIGTERM, wait_s=grace_s - interrupt_s),
    )
