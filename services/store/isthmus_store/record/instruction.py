"""Commands to agents."""

from dataclasses import dataclass
from datetime import datetime

from isthmus_store.state import InstructionOutcome


@dataclass(frozen=True, kw_only=True, slots=True)
class NewInstruction:
    """A command to be sent; `body` is an Instruction."""

    id: str
    deployment: str
    agent: str
    is_control: bool
    #: The name of the instruction's body field, as in "launch_run".
    kind: str
    body: bytes
    created_at: datetime
    not_after: datetime
    #: Empty and 0 when the command is about no run.
    run_id: str = ""
    attempt: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxInstruction:
    """A command and how far it came; positions grow in the order of writing."""

    position: int
    id: str
    deployment: str
    agent: str
    is_control: bool
    kind: str
    run_id: str
    attempt: int
    body: bytes
    created_at: datetime
    not_after: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    outcome: InstructionOutcome | None
