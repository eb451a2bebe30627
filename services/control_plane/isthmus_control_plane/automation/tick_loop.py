"""What schedules and sensors have in common: their ticks are begun while this control plane leads, and seen to their ends."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import ClassVar, Final

from isthmus.v1.telemetry_pb2 import Failure
from isthmus_lifecycle.boundary import Boundary, keep_going_until
from isthmus_lifecycle.log import get_logger
from isthmus_store.errors import LeaseLostError, TransientStoreError

from isthmus_control_plane import clock
from isthmus_control_plane.automation.applying import Applier
from isthmus_control_plane.automation.asked import Asked
from isthmus_control_plane.automation.effects import Effects, failed
from isthmus_control_plane.automation.evaluating import Evaluator
from isthmus_control_plane.core import Core
from isthmus_control_plane.fleet import world
from isthmus_control_plane.leadership.leader import Leadership
from isthmus_control_plane.wake import Wake

log = get_logger(__name__)

#: How often a process that leads looks for changes that nobody told it of, seconds.
_COMPARE_EVERY_S: Final = 10.0
#: Of a roll that is to be read before anything is begun.
UNREAD: Final = (0, -1)
_UNFORESEEN: Final = "the control plane could not evaluate the tick; its log has the details under the tick's number"


class TickLoop(ABC):
    """One control plane's instigators of a kind: it sleeps until the next is due, or until it is rung for."""

    #: What they are, in the log.
    name: ClassVar[str]
    #: How long after a ring the look begins: where bells ring in crowds, one look serves a crowd, and what rang goes first.
    #: Seconds.
    breath_s: ClassVar[float] = 0.0

    def __init__(
        self, core: Core, *, leadership: Leadership, evaluator: Evaluator, applier: Applier, memory: world.SyncMemory
    ) -> None:
        self._core = core
        self._leadership = leadership
        self._evaluator = evaluator
        self._applier = applier
        self._memory = memory
        #: The instigators whose ticks are evaluated now.
        self._in_hand: set[int] = set()
        #: Those of which somebody has paused the location or the deployment.
        self._paused: frozenset[int] = frozenset()
        self._tasks: asyncio.TaskGroup | None = None
        self._evaluating: set[asyncio.Task[None]] = set()
        #: Under which lease, after how many changes, and when the roll was read last.
        self._read_for: tuple[int, int] = UNREAD
        self._read_at = 0.0
        self._ticks = Boundary(f"tick of {self.name}", passes=(LeaseLostError, TransientStoreError))

    async def run(self) -> None:
        """Go on until the hub stops. Ticks that are not ended then are done again by whoever leads next."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await keep_going_until(self._core.hub.stopping, step=self._turn, name=self.name)
            for task in self._evaluating:
                task.cancel()

    # ------------------------------------------------------------------------------------------------- of the one kind

    @property
    @abstractmethod
    def _wake(self) -> Wake:
        """What is rung when there is something to do."""

    @abstractmethod
    async def _refresh(self) -> None:
        """Take in what locations define and people decided, and take up ticks that nobody ended."""

    @abstractmethod
    async def _begin_due(self) -> None:
        """Begin what is due."""

    @abstractmethod
    def _next_at(self) -> datetime | None:
        """Return when the next is due; None when nothing is."""

    @abstractmethod
    def _is_wanted(self, instigator_id: int) -> bool:
        """Tell whether ticks of an instigator are still to be evaluated."""

    def _after(self, asked: Asked, effects: Effects) -> None:  # noqa: B027  # a kind may have no use for it
        """Take in what was written of a tick."""

    def _left(self) -> None:  # noqa: B027  # a kind may have no use for it
        """Take in that a tick stays as it is."""

    @property
    def _at_rest(self) -> AbstractSet[int]:
        """The instigators of which no tick is to be begun now."""
        return self._in_hand | self._paused

    # ------------------------------------------------------------------------------------------------------------ turns

    async def _turn(self) -> None:
        """Begin what is due, and sleep until the next is."""
        try:
            pause_s = await self._look() if self._leadership.is_held else self._core.settings.sweep_interval_s
        except LeaseLostError as error:
            log.info("ticks_left_to_another", of=self.name, problem=str(error))
            pause_s = 0.0
        except TransientStoreError as error:
            log.warning("ticks_postponed", of=self.name, problem=str(error))
            pause_s = self._core.settings.sweep_interval_s
        if pause_s > 0:
            await self._wake.wait(at_most_s=pause_s)
        await asyncio.sleep(self.breath_s)

    async def _look(self) -> float:
        """Begin what is due; returns how long to sleep, seconds."""
        loop = asyncio.get_running_loop()
        if self._state != self._read_for:
            await self._read_anew()
        await self._begin_due()
        if loop.time() - self._read_at > _COMPARE_EVERY_S:
            # After what is due: that is not to wait for what nobody has told of.
            await self._read_anew()
        next_at = self._next_at()
        # No longer than that, since clocks may be set: how long to sleep is known by another clock.
        longest_s = self._core.settings.sweep_interval_s
        return longest_s if next_at is None else min(longest_s, max(0.0, (next_at - clock.now()).total_seconds()))

    @property
    def _state(self) -> tuple[int, int]:
        return self._leadership.number, self._core.hub.schedule_changes

    async def _read_anew(self) -> None:
        """Read the roll, as of the changes that were told of before."""
        state = self._state
        await self._refresh()
        self._read_for, self._read_at = state, asyncio.get_running_loop().time()

    # ------------------------------------------------------------------------------------------------------- evaluating

    def _begin_evaluation(self, asked: Asked) -> None:
        if self._tasks is None or asked.tick.instigator_id in self._in_hand:
            return
        self._in_hand.add(asked.tick.instigator_id)
        task = self._tasks.create_task(self._carry(asked), name=f"{asked.what} tick {asked.tick.id}")
        self._evaluating.add(task)
        task.add_done_callback(self._evaluating.discard)

    async def _carry(self, asked: Asked) -> None:
        """See a tick to its end, unless another process is to do that."""
        tick = asked.tick
        try:
            with self._ticks.guard(tick=tick.id) as fate:
                effects = await self._evaluator.evaluate(asked, is_wanted=lambda: self._is_wanted(tick.instigator_id))
                await self._applier.apply(tick, effects, location=asked.location)
                self._after(asked, effects)
            if fate.error is not None:
                failure = Failure(error_class=type(fate.error).__name__, message=_UNFORESEEN)
                await self._applier.apply(tick, failed(failure), location=asked.location)
        except (LeaseLostError, TransientStoreError) as error:
            # It stays STARTED, and is taken up by whoever leads then.
            log.info("tick_left", tick=tick.id, problem=str(error))
            self._left()
        finally:
            self._in_hand.discard(tick.instigator_id)
            self._wake.ring()
