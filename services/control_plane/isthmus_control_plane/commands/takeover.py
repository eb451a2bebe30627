"""What becomes of commands that an agent had taken from its queue when another process took over its name. Pure."""

from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from isthmus_store.record.agent import Agent
from isthmus_store.record.instruction import OutboxInstruction
from isthmus_store.record.run import Run
from isthmus_store.state import AgentState, RunState

#: How long the successor is heard before anything is done: what was begun has been told by then, by whoever began it.
SETTLING: Final = timedelta(seconds=10)
#: How long after a takeover a control plane that begins looks for what was lost by it: as long as any command waits.
_LOOK_BACK: Final = timedelta(hours=24)
_SPEAKING: Final = frozenset({AgentState.ONLINE, AgentState.DRAINING})


class Fate(Enum):
    """What is done about a command."""

    #: It has had its effect, or ends by itself.
    LEAVE = auto()
    #: It may be done twice, and so it is sent once more.
    SEND_AGAIN = auto()
    #: Nobody knows whether its attempt will ever begin, and so the run goes on to the next attempt.
    REPLACE = auto()
    #: Its run is to end, and nothing of it was seen.
    CALL_OFF = auto()


def is_due(agent: Agent, *, at: datetime) -> bool:
    """Tell whether an agent took over from one whose folder it does not have, and was heard for long enough since."""
    if agent.folder_since is None or agent.last_heard_at is None or agent.state not in _SPEAKING:
        return False
    return agent.last_heard_at >= agent.folder_since + SETTLING and at < agent.folder_since + _LOOK_BACK


def judge(row: OutboxInstruction, *, run: Run | None) -> Fate:
    """Decide about a command that was written for an agent before another took over, and that has no result.

    An attempt that was seen at the agent goes on, whoever is the agent now: its code server tells of it. One that was never
    seen may still be in the hands of the agent that was: whatever that one does with it counts no more once the run is at
    the next attempt.
    """
    if run is None or run.state.is_terminal or run.attempt != row.attempt:
        return Fate.LEAVE
    if row.kind == "terminate_run":
        return Fate.SEND_AGAIN
    if row.kind != "launch_run" or run.accepted_at is not None:
        return Fate.LEAVE
    return Fate.CALL_OFF if run.state is RunState.CANCELING else Fate.REPLACE
