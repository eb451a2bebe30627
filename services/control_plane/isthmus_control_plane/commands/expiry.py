"""When a command without a result is given up. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from isthmus_store.state import AgentState


@dataclass(frozen=True, slots=True)
class Patience:
    """How long results may take."""

    #: After the deadline, while everything is well: telemetry needs this long to arrive.
    grace: timedelta
    #: After the deadline, when the agent is silent: then nobody knows what became of the command.
    silence_limit: timedelta


@dataclass(frozen=True, slots=True)
class Hearing:
    """What this side can hear."""

    #: Since when the broker can be reached without a break; None while it cannot.
    connected_since: datetime | None
    #: None when the agent was removed.
    state: AgentState | None
    last_heard_at: datetime | None


def is_overdue(not_after: datetime, *, now: datetime, patience: Patience, hearing: Hearing) -> bool:
    """Tell whether a command is given up.

    The agent may have acted in time, and its word be on the way: while the broker is away, while telemetry waits to be
    stored, or while the agent is cut off. So time in which nothing could be heard does not count. An agent that was
    heard after the deadline, or that said good-bye, has told all it had to tell.
    """
    if hearing.connected_since is None or now < max(not_after, hearing.connected_since) + patience.grace:
        return False
    if hearing.state in {None, AgentState.STOPPED}:
        return True
    if hearing.last_heard_at is not None and hearing.last_heard_at > not_after:
        return True
    return now >= not_after + patience.silence_limit
