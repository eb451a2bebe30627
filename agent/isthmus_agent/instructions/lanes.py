"""Works off what was taken down: in a lane for each location, so that none waits behind what another waits for."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from isthmus.v1 import instruction_pb2 as instruction
from isthmus_lifecycle.boundary import Boundary, keep_going

from isthmus_agent.instructions.envelope import Envelope
from isthmus_agent.intake.journal import Entry
from isthmus_agent.run_key import RunKey

#: So many instructions of one lane are in hand at once; those behind them wait in their order, as files.
MOST_IN_HAND = 100
#: How often it is looked which of those that wait have passed their deadlines, seconds.
_LOOK_INTERVAL_S = 0.5

#: The lane of what ends without having had its turn: nothing there waits for a location.
_ENDS = ""


@dataclass(frozen=True)
class Taken:
    """An instruction on its way through a lane."""

    entry: Entry
    lane: str
    key: RunKey | None
    envelope: Envelope
    #: The whole of it, while its turn has come at once. Of one that waits it is read from the file when its turn comes.
    message: instruction.Instruction | None = None

    @classmethod
    def of(cls, entry: Entry, message: instruction.Instruction) -> "Taken":
        """Find out where an instruction belongs."""
        envelope = Envelope.of(message)
        if message.WhichOneof("body") != "launch_run":
            return cls(entry, "terminations", None, envelope, message)
        request = message.launch_run.request
        return cls(entry, f"launches {request.location}", RunKey.of(request.run), envelope, message)


@dataclass
class _Lane:
    waiting: deque[Taken] = field(default_factory=deque)
    in_hand: int = 0


class Lanes:
    """The instructions that were taken down and are not answered, by what they wait for."""

    def __init__(
        self, work: Callable[[Taken], Awaitable[None]], *, tasks: asyncio.TaskGroup, most_in_hand: int = MOST_IN_HAND
    ) -> None:
        """Do `work` for each instruction, in `tasks`, for `most_in_hand` of a lane at once."""
        self._most_in_hand = most_in_hand
        self._work = work
        self._tasks = tasks
        self._lanes: dict[str, _Lane] = {}
        self._active: set[asyncio.Task[None]] = set()
        self._is_open = True
        self._boundary = Boundary("taken instruction")

    def add(self, taken: Taken) -> None:
        """Put an instruction behind those of its lane."""
        lane = self._lane(taken.lane)
        if lane.waiting or lane.in_hand >= self._most_in_hand or not self._is_open:
            taken = replace(taken, message=None)
        lane.waiting.append(taken)
        self._fill(taken.lane)

    def end(self, key: RunKey) -> None:
        """Let the launches of a run that wait for their turn have it now: they find that the run was ended."""
        self._hurry(lambda taken: taken.key == key)

    async def run(self) -> None:
        """Let what has passed its deadline have its turn, until cancelled."""

        async def look() -> None:
            self._hurry(lambda taken: taken.envelope.is_expired)
            await asyncio.sleep(_LOOK_INTERVAL_S)

        await keep_going(look, name="deadlines of taken instructions")

    async def drain(self, *, deadline_s: float) -> None:
        """Begin nothing more, and wait up to `deadline_s` for what is in hand; the rest is the next agent's."""
        self._is_open = False
        if self._active:
            await asyncio.wait(self._active, timeout=deadline_s)

    def _hurry(self, is_due: Callable[[Taken], bool]) -> None:
        for name, lane in list(self._lanes.items()):
            if name == _ENDS or not any(is_due(taken) for taken in lane.waiting):
                continue
            self._lane(_ENDS).waiting.extend(taken for taken in lane.waiting if is_due(taken))
            lane.waiting = deque(taken for taken in lane.waiting if not is_due(taken))
            self._tidy(name)
        self._fill(_ENDS)

    def _lane(self, name: str) -> _Lane:
        return self._lanes.setdefault(name, _Lane())

    def _fill(self, name: str) -> None:
        lane = self._lane(name)
        while self._is_open and lane.waiting and lane.in_hand < self._most_in_hand:
            lane.in_hand += 1
            task = self._tasks.create_task(self._take(lane.waiting.popleft(), name), name=f"instruction, {name}")
            self._active.add(task)
            task.add_done_callback(self._active.discard)
        self._tidy(name)

    async def _take(self, taken: Taken, name: str) -> None:
        try:
            with self._boundary.guard(instruction_id=taken.entry.instruction_id, lane=name):
                await self._work(taken)
        finally:
            self._lanes[name].in_hand -= 1
        # Not where it was cancelled: the agent is ending then, and what waits is the next one's.
        self._fill(name)

    def _tidy(self, name: str) -> None:
        lane = self._lanes[name]
        if not lane.waiting and not lane.in_hand:
            del self._lanes[name]
