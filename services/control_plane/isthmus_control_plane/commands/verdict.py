"""What becomes of a command whose message died at the broker, by what the store knows of it. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Final

from isthmus_store.record.agent import Agent
from isthmus_store.record.instruction import OutboxInstruction
from isthmus_store.record.run import Run

#: How often a command is sent again that came back before its deadline.
MAX_RETURNS: Final = 3


class Fate(Enum):
    """What is done."""

    #: The letter is kept for people, and nothing follows: the command has its end, or has had its effect.
    KEEP = auto()
    #: Nobody took it in time.
    EXPIRED = auto()
    #: There is nobody to take it.
    HOMELESS = auto()
    #: It came back again and again.
    REJECTED = auto()
    SEND_AGAIN = auto()


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known beside the command's row."""

    agent: Agent | None
    #: The run that it is about; None for none.
    run: Run | None
    #: How often it was sent again already.
    returns: int


def judge(row: OutboxInstruction, *, standing: Standing, at: datetime) -> Fate:
    """Decide what becomes of a command that is said to have died."""
    if row.settled_at is not None or _has_effect(row, run=standing.run):
        return Fate.KEEP
    if row.not_after <= at:
        return Fate.EXPIRED
    if standing.agent is None:
        return Fate.HOMELESS
    return Fate.SEND_AGAIN if standing.returns < MAX_RETURNS else Fate.REJECTED


def _has_effect(row: OutboxInstruction, *, run: Run | None) -> bool:
    """Tell whether a launch was taken: its run was seen at the agent, has ended, or is at another attempt."""
    if row.kind != "launch_run" or run is None:
        return False
    return run.accepted_at is not None or run.state.is_terminal or run.attempt != row.attempt
