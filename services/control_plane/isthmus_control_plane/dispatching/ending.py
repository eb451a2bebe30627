"""Asking for the end of a run."""

from datetime import datetime

from isthmus_store import outbox, runs
from isthmus_store.signal import CancelRequested
from isthmus_store.state import RunState
from isthmus_store.termination import terminate
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane import history


async def ask_for_end(tx: WriteTransaction, run_id: str, *, by: str, at: datetime, grace_s: float = 0.0) -> bool:
    """Ask for a run's end, and tell whether that changed anything.

    A queued one is canceled at once; one that has ended stays as it is.

    Args:
        tx: The change.
        run_id: The run, which exists.
        by: Who asks.
        at: When.
        grace_s: How long its process may take; 0 for the agent's own time.
    """
    signaled = await runs.signal(tx, run_id, CancelRequested(requested_by=by), at=at)
    run = signaled.run
    if signaled.decision.is_change:
        news = [history.cancel_requested(run.ref, requested_by=by, at=at)]
        news += [history.canceled(run, at=at)] if run.state is RunState.CANCELED else []
        await history.append(tx, run.ref, news=news, at=at)
    if run.state is RunState.CANCELING:
        # Also when it was asked for before: the grace may be shorter now, and the first one may have expired.
        order = terminate(run.deployment, run.agent, attempt=run.ref, grace_s=grace_s, at=at)
        await outbox.add(tx, order)
    return signaled.decision.is_change
