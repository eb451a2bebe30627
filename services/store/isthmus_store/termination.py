"""The command that ends a run's attempt, for all who want one ended."""

from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from isthmus.v1.instruction_pb2 import Instruction

from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.run import AttemptRef
from isthmus_store.wire import stamp

#: A wish to end a run outlives an agent's outage; it harms nothing when the run has ended.
LIFETIME: Final = timedelta(hours=24)


def terminate(deployment: str, agent: str, *, attempt: AttemptRef, grace_s: float, at: datetime) -> NewInstruction:
    """Tell an agent to end a run's attempt; goes ahead of waiting launches. A grace of 0 is the agent's own."""
    not_after = at + LIFETIME
    instruction = Instruction(
        id=str(uuid4()), deployment=deployment, agent=agent, issued_at=stamp(at), not_after=stamp(not_after)
    )
    instruction.terminate_run.run.run_id = attempt.run_id
    instruction.terminate_run.run.attempt = attempt.attempt
    instruction.terminate_run.grace_s = grace_s
    return NewInstruction(
        id=instruction.id,
        deployment=deployment,
        agent=agent,
        is_control=True,
        kind="terminate_run",
        body=instruction.SerializeToString(),
        created_at=at,
        not_after=not_after,
        run_id=attempt.run_id,
        attempt=attempt.attempt,
    )
