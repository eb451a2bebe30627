"""What a signal does to a run's state. Pure; signals may come twice, late, and in any order.

    QUEUED → DISPATCHED → STARTING → RUNNING → SUCCEEDED | FAILED | CANCELED
       └───────────┴──────────┴─────────┴──→ CANCELING ──┘

A terminal state is never left but for one that was only believed: an attempt given up as lost, and that nothing replaced, may
still say that it succeeded. A lower attempt changes nothing, and within an attempt the rank of the state only grows.
Before anything of the attempt was seen at an agent (`is_accepted`), "it was never started" is believed; afterwards the
attempt's own words win over it.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import assert_never

from isthmus_store.record.run import Violation
from isthmus_store.signal import (
    Accepted,
    AgentGone,
    AttemptSignal,
    Canceled,
    CancelRequested,
    Dispatched,
    Failed,
    LaunchExpired,
    LaunchRefused,
    LeaseExpired,
    NotRunning,
    RunSignal,
    Started,
    Succeeded,
    TimedOut,
)
from isthmus_store.state import BELIEVED, TIMEOUTS, RunReason, RunState


class Verdict(Enum):
    """What became of a signal."""

    #: The run changed.
    APPLIED = auto()
    #: It says what is known already, or what later news has overtaken.
    REDUNDANT = auto()
    #: It speaks of another attempt than the one that counts.
    OTHER_ATTEMPT = auto()
    #: The run had ended before.
    TOO_LATE = auto()
    #: It does not fit what is known: nothing was started, says one who is contradicted by the attempt itself.
    CONTRADICTED = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """All that a decision depends on, and all that it may change."""

    state: RunState
    attempt: int
    agent: str = ""
    #: An agent's code server took the attempt, or was seen running it.
    is_accepted: bool = False
    #: The attempt's process said that it runs.
    is_started: bool = False
    reason: RunReason = RunReason.UNSPECIFIED
    message: str = ""
    failure: bytes = b""
    violations: tuple[Violation, ...] = ()
    #: Another run does again what this one, which failed, did not do.
    is_followed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The facts after a signal, and what became of it."""

    facts: RunFacts
    verdict: Verdict

    @property
    def is_change(self) -> bool:
        """Whether anything has to be written."""
        return self.verdict is Verdict.APPLIED


def transition(run: RunFacts, signal: RunSignal) -> Decision:
    """Decide what the signal does to the run."""
    if run.state.is_terminal:
        return _on_late_word(run, signal)
    if isinstance(signal, CancelRequested):
        return _on_cancel_request(run, signal)
    if isinstance(signal, Dispatched):
        return _on_dispatch(run, signal)
    if signal.attempt != run.attempt:
        return Decision(facts=run, verdict=Verdict.OTHER_ATTEMPT)
    return _on_attempt_signal(run, signal)


def _on_late_word(run: RunFacts, signal: RunSignal) -> Decision:
    """Keep the end, unless nobody saw it and the attempt itself tells of a better one."""
    is_lost = run.state is RunState.FAILED and run.reason in BELIEVED and not run.is_followed
    if is_lost and isinstance(signal, Succeeded) and signal.attempt == run.attempt:
        end = replace(
            run, state=RunState.SUCCEEDED, is_accepted=True, reason=RunReason.UNSPECIFIED, message="", failure=b""
        )
        return Decision(facts=end, verdict=Verdict.APPLIED)
    return Decision(facts=run, verdict=Verdict.TOO_LATE)


def _on_attempt_signal(run: RunFacts, signal: AttemptSignal) -> Decision:
    match signal:
        case Accepted() | Started():
            return _on_progress(run, signal)
        case Succeeded() | Failed() | Canceled():
            return _on_last_word(run, signal)
        case LaunchRefused() | LaunchExpired():
            return _on_launch_failure(run, signal)
        case LeaseExpired() | AgentGone():
            return _on_silence(run, signal)
        case NotRunning() | TimedOut():
            return _on_absence(run) if isinstance(signal, NotRunning) else _on_timeout(run, signal)
        case Dispatched():
            return _on_dispatch(run, signal)
        case _:
            assert_never(signal)


def _on_dispatch(run: RunFacts, signal: Dispatched) -> Decision:
    if signal.attempt < run.attempt:
        return Decision(facts=run, verdict=Verdict.OTHER_ATTEMPT)
    if run.state is RunState.QUEUED or (run.state is RunState.DISPATCHED and signal.attempt > run.attempt):
        dispatched = RunFacts(state=RunState.DISPATCHED, attempt=signal.attempt, agent=signal.agent)
        return Decision(facts=dispatched, verdict=Verdict.APPLIED)
    verdict = Verdict.REDUNDANT if signal.attempt == run.attempt else Verdict.OTHER_ATTEMPT
    return Decision(facts=run, verdict=verdict)


def _on_progress(run: RunFacts, signal: Accepted | Started) -> Decision:
    """Note how far the attempt came; a cancellation that is under way stays so."""
    is_start = isinstance(signal, Started)
    reached = RunState.RUNNING if is_start else RunState.STARTING
    state = run.state if run.state.rank >= reached.rank else reached
    # Why it waited is over; that someone wants it ended is not.
    message = run.message if run.state is RunState.CANCELING else ""
    after = replace(run, state=state, is_accepted=True, is_started=run.is_started or is_start, message=message)
    return _changed(run, after)


def _on_last_word(run: RunFacts, signal: Succeeded | Failed | Canceled) -> Decision:
    """Believe the attempt's own end, also while it is being canceled: it may have finished first."""
    if isinstance(signal, Canceled) and _is_timed_out(run):
        return Decision(facts=_ended(replace(run, is_accepted=True)), verdict=Verdict.APPLIED)
    seen = replace(run, is_accepted=True, reason=RunReason.UNSPECIFIED, message="")
    match signal:
        case Succeeded():
            end = replace(seen, state=RunState.SUCCEEDED)
        case Failed(reason=reason, message=message, failure=failure):
            end = replace(seen, state=RunState.FAILED, reason=reason, message=message, failure=failure)
        case Canceled(reason=reason, message=message):
            end = replace(seen, state=RunState.CANCELED, reason=reason, message=message)
        case _:
            assert_never(signal)
    return Decision(facts=end, verdict=Verdict.APPLIED)


def _on_launch_failure(run: RunFacts, signal: LaunchRefused | LaunchExpired) -> Decision:
    if run.is_accepted:
        return Decision(facts=run, verdict=Verdict.CONTRADICTED)
    reason = signal.reason if isinstance(signal, LaunchRefused) else RunReason.START_TIMEOUT
    if run.state is RunState.CANCELING or reason is RunReason.CANCELED_BY_REQUEST:
        # Nothing was started and someone wanted it ended: that is what they get.
        return Decision(facts=_ended(run), verdict=Verdict.APPLIED)
    end = replace(run, state=RunState.FAILED, reason=reason, message=signal.message)
    if isinstance(signal, LaunchRefused):
        end = replace(end, failure=signal.failure, violations=signal.violations)
    return Decision(facts=end, verdict=Verdict.APPLIED)


def _on_silence(run: RunFacts, signal: LeaseExpired | AgentGone) -> Decision:
    """End an attempt that nobody vouches for. One that was never seen at an agent is its launch's affair."""
    if not run.is_accepted:
        return Decision(facts=run, verdict=Verdict.CONTRADICTED)
    reason = RunReason.WORKER_LOST if isinstance(signal, LeaseExpired) else RunReason.AGENT_LOST
    end = replace(run, state=RunState.FAILED, reason=reason, message=signal.message)
    return Decision(facts=end, verdict=Verdict.APPLIED)


def _on_absence(run: RunFacts) -> Decision:
    """Believe that the attempt will never start; of one that did start, the last word is in its journal."""
    if run.state is RunState.CANCELING and not run.is_accepted:
        return Decision(facts=_ended(run), verdict=Verdict.APPLIED)
    return Decision(facts=run, verdict=Verdict.CONTRADICTED)


def _on_timeout(run: RunFacts, signal: TimedOut) -> Decision:
    """Begin to end an attempt. It fails when its process is proven gone, unless it ends by itself before that."""
    if run.state is RunState.CANCELING:
        return Decision(facts=run, verdict=Verdict.REDUNDANT)
    has_begun = signal.reason is RunReason.START_TIMEOUT and run.is_started
    if run.state is RunState.QUEUED or has_begun:
        return Decision(facts=run, verdict=Verdict.CONTRADICTED)
    ending = replace(run, state=RunState.CANCELING, reason=signal.reason, message=signal.message)
    return Decision(facts=ending, verdict=Verdict.APPLIED)


def _is_timed_out(run: RunFacts) -> bool:
    return run.state is RunState.CANCELING and run.reason in TIMEOUTS


def _ended(run: RunFacts) -> RunFacts:
    """Return the end of a run whose end was asked for, by somebody or by the clock."""
    return replace(run, state=RunState.FAILED) if _is_timed_out(run) else _canceled(run)


def _on_cancel_request(run: RunFacts, signal: CancelRequested) -> Decision:
    by = f" by {signal.requested_by}" if signal.requested_by else ""
    if run.state is RunState.QUEUED:
        return Decision(
            facts=_canceled(run, message=f"Canceled{by} before it was dispatched."), verdict=Verdict.APPLIED
        )
    if run.state is RunState.CANCELING and not _is_timed_out(run):
        return Decision(facts=run, verdict=Verdict.REDUNDANT)
    # Also of one that is ended for its time: what somebody wants goes over that, and is never retried.
    canceling = replace(
        run, state=RunState.CANCELING, reason=RunReason.UNSPECIFIED, message=f"Cancellation was requested{by}."
    )
    return Decision(facts=canceling, verdict=Verdict.APPLIED)


def _canceled(run: RunFacts, *, message: str = "") -> RunFacts:
    return replace(run, state=RunState.CANCELED, reason=RunReason.CANCELED_BY_REQUEST, message=message or run.message)


def _changed(before: RunFacts, after: RunFacts) -> Decision:
    # A line for people alone is no news.
    is_news = replace(before, message="") != replace(after, message="")
    return Decision(facts=after if is_news else before, verdict=Verdict.APPLIED if is_news else Verdict.REDUNDANT)
