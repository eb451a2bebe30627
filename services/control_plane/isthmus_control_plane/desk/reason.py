"""What a run or a step waits for, with who has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isthmus_store.record.run import Run

from isthmus_control_plane.dispatching.block import Block

#: Holders that are told.
MOST_HOLDERS: Final = 10


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has something of which there is a limited number: a run, or a step of it."""

    run: Run
    since: datetime | None
    step_key: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """What keeps a run or one of its steps, and who has what it waits for."""

    block: Block
    holders: Sequence[Holder] = ()
    #: The step that waits; empty when it is the run.
    step_key: str = ""
