"""What an instruction's result means for the run that it was about. Pure."""

from datetime import datetime

from isthmus_store.record.instruction import OutboxInstruction
from isthmus_store.signal import Accepted, AttemptSignal, LaunchExpired, LaunchRefused, NotRunning
from isthmus_store.state import InstructionOutcome, RunReason

from isthmus_monitor import history
from isthmus_monitor.ledger import Ledger
from isthmus_monitor.news import Settled

_LAUNCH = "launch_run"
_TERMINATE = "terminate_run"


def signal_of(instruction: OutboxInstruction, news: Settled) -> AttemptSignal | None:
    """Return what the result tells about the run; None for nothing new."""
    if instruction.kind == _LAUNCH:
        return _launch_signal(instruction, news)
    if instruction.kind == _TERMINATE and news.was_not_running and news.outcome is InstructionOutcome.SUCCEEDED:
        return NotRunning(attempt=instruction.attempt)
    return None


def apply(ledger: Ledger, instruction: OutboxInstruction, news: Settled, *, now: datetime) -> None:
    """Move the instruction's run by its result, and tell the run's history what nobody else tells it."""
    signal = signal_of(instruction, news)
    before = ledger.run(instruction.run_id)
    if signal is None or before is None:
        return
    decision = ledger.signal(before.run_id, signal)
    after = ledger.run(before.run_id)
    if decision is None or after is None or not decision.is_change:
        return
    if after.state.is_terminal:
        ledger.tell(after.run_id, history.ended(after, at=now))
    elif before.started_at is None and isinstance(signal, Accepted):
        ledger.tell(after.run_id, history.starting(after, server=news.server, at=now))


def _launch_signal(instruction: OutboxInstruction, news: Settled) -> AttemptSignal:
    match news.outcome:
        case InstructionOutcome.SUCCEEDED:
            return Accepted(attempt=instruction.attempt)
        case InstructionOutcome.EXPIRED:
            message = f"Agent {instruction.agent} received the launch after its deadline."
            return LaunchExpired(attempt=instruction.attempt, message=message)
        case InstructionOutcome.UNSUPPORTED:
            message = f"Agent {instruction.agent} is too old for this launch: update it."
            return LaunchRefused(attempt=instruction.attempt, reason=RunReason.UNSUPPORTED, message=message)
        case InstructionOutcome.FAILED:
            return LaunchRefused(
                attempt=instruction.attempt,
                reason=news.reason,
                message=news.message,
                failure=news.failure,
                violations=news.violations,
            )
