"""Ends commands that will get no result from their agent, and the runs that waited for them."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from isthmus_lifecycle.log import get_logger
from isthmus_store import outbox, runs
from isthmus_store.record.instruction import OutboxInstruction
from isthmus_store.signal import LaunchExpired, LaunchRefused
from isthmus_store.state import InstructionOutcome, RunReason
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane import history
from isthmus_control_plane.commands.verdict import Fate

log = get_logger(__name__)

_LAUNCH = "launch_run"


@dataclass(frozen=True, slots=True)
class Loss:
    """What became of a command, and what that means for a run that it should have launched."""

    outcome: InstructionOutcome
    launch: LaunchExpired | LaunchRefused


def expired(row: OutboxInstruction) -> Loss:
    """Return the loss of a command that nobody took in time."""
    text = f"agent {row.agent} did not take the launch before its deadline"
    return Loss(InstructionOutcome.EXPIRED, LaunchExpired(attempt=row.attempt, message=text))


def unsendable(row: OutboxInstruction) -> Loss:
    """Return the loss of a command that cannot be published, for a reason that nobody foresaw."""
    text = f"the launch could not be sent to agent {row.agent}; the control plane's log has the details under {row.id}"
    return _refused(row, reason=RunReason.INTERNAL_ERROR, message=text)


def too_large(row: OutboxInstruction, *, why: str) -> Loss:
    """Return the loss of a command that the broker takes neither now nor later."""
    return _refused(row, reason=RunReason.INVALID_REQUEST, message=f"the launch is too large to be sent: {why}")


def loss_of(row: OutboxInstruction, *, fate: Fate) -> Loss | None:
    """Return the loss of a command whose message died; None when that ends nothing."""
    match fate:
        case Fate.EXPIRED:
            return expired(row)
        case Fate.HOMELESS:
            text = f"agent {row.agent} was removed before it took the launch; create it again, or launch once more"
            return _refused(row, reason=RunReason.LOCATION_UNAVAILABLE, message=text)
        case Fate.REJECTED:
            text = f"agent {row.agent} could not read the launch, or failed each time; look at its log and its version"
            return _refused(row, reason=RunReason.INTERNAL_ERROR, message=text)
        case Fate.KEEP | Fate.SEND_AGAIN:
            return None
        case _:
            assert_never(fate)


def _refused(row: OutboxInstruction, *, reason: RunReason, message: str) -> Loss:
    return Loss(InstructionOutcome.FAILED, LaunchRefused(attempt=row.attempt, reason=reason, message=message))


async def settle(tx: WriteTransaction, row: OutboxInstruction, *, loss: Loss, at: datetime) -> bool:
    """End a command. A result that came first wins; so does what the run's own events told.

    Returns:
        Whether the run changed.
    """
    settled = await outbox.settle(tx, row.id, outcome=loss.outcome, at=at)
    if settled is None:
        return False
    log.warning("instruction_lost", instruction=row.id, kind=row.kind, agent=row.agent, outcome=loss.outcome.value)
    if row.kind != _LAUNCH:
        return False
    signaled = await runs.signal(tx, row.run_id, loss.launch, at=at)
    if not signaled.decision.is_change:
        return False
    await history.tell_end(tx, signaled.run, at=at)
    log.warning("run_given_up", run=row.run_id, state=signaled.run.state.value, reason=signaled.run.reason.value)
    return True
