"""Carries written commands to the broker: in order per queue, side by side across queues, each until it is confirmed."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from isthmus.v1.instruction_pb2 import Instruction
from isthmus_broker.errors import BrokerError
from isthmus_broker.instructions import InstructionPublisher
from isthmus_broker.publisher import Publisher
from isthmus_lifecycle.log import get_logger
from isthmus_store import outbox
from isthmus_store.errors import TransientStoreError
from isthmus_store.record.instruction import NewInstruction, OutboxInstruction

from isthmus_control_plane import clock
from isthmus_control_plane.core import Core
from isthmus_control_plane.wake import Wake, wait_for

log = get_logger(__name__)

#: Unsent commands that are read at once. Above what waits for a few agents whose queues are full.
_LOOK: Final = 5000
#: The wait before the database is asked again after a fault, seconds.
_STORE_RETRY_S: Final = 1.0
#: How long confirmed commands wait for others to be marked with, seconds. A process that dies meanwhile sends them twice.
_MARK_DELAY_S: Final = 0.25
#: How soon the return of the broker is noticed, seconds.
_CONNECT_POLL_S: Final = 0.1


class _LaneKey(NamedTuple):
    deployment: str
    agent: str
    is_control: bool


@dataclass(frozen=True, slots=True)
class _Parcel:
    """One command on its way."""

    id: str
    lane: _LaneKey
    body: bytes


class OutboxDispatcher:
    """Publishes commands that are not known to be at the broker yet.

    A confirm that does not come means that the command may be there or not: it is published again, and the agent tells
    the second one from the first by its id. A process that dies between confirm and mark does the same.
    """

    def __init__(self, core: Core, *, publisher: Publisher) -> None:
        self._core = core
        self._publisher = publisher
        self._instructions = InstructionPublisher(publisher)
        self._lanes: dict[_LaneKey, deque[_Parcel]] = {}
        #: Ids in a lane, or confirmed and not marked yet.
        self._in_hand: set[str] = set()
        self._confirmed: list[str] = []
        self._marking = Wake()
        # A sweep must not take what is being marked for unsent: it would go out twice.
        self._marks = asyncio.Lock()
        self._tasks: asyncio.TaskGroup | None = None

    def offer(self, *commands: NewInstruction) -> None:
        """Send commands that were committed just now, without reading them back.

        Whatever keeps them from going now, a sweep finds them.
        """
        if self._publisher.is_connected:
            self._enqueue(_parcel(command) for command in commands)
        else:
            self._core.hub.outbox.ring()

    async def run(self) -> None:
        """Work until the hub stops, and end with what is in hand. What was not marked then is published again."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._mark())
            while not self._core.hub.stopping.is_set():
                is_connected = self._publisher.is_connected
                if is_connected:
                    await self._sweep()
                pause_s = self._core.settings.sweep_interval_s if is_connected else _CONNECT_POLL_S
                await self._core.hub.outbox.wait(at_most_s=pause_s)
            self._tasks = None
            self._marking.ring()

    async def flush(self) -> None:
        """Mark what was confirmed, for the last time."""
        await self._mark_confirmed()

    async def _sweep(self) -> None:
        """Take up what is in the store and not in hand: after a failure, an outage, or a life of another process."""
        try:
            async with self._marks, self._core.database.read() as tx:
                rows = await outbox.unsent(tx, limit=_LOOK)
                self._enqueue(_parcel(row) for row in rows)
        except TransientStoreError as error:
            log.warning("outbox_unreadable", error=str(error))

    def _enqueue(self, parcels: Iterable[_Parcel]) -> None:
        for parcel in parcels:
            if parcel.id in self._in_hand or self._tasks is None:
                continue
            self._in_hand.add(parcel.id)
            if parcel.lane not in self._lanes:
                self._lanes[parcel.lane] = deque()
                self._tasks.create_task(self._work(parcel.lane))
            self._lanes[parcel.lane].append(parcel)

    async def _work(self, key: _LaneKey) -> None:
        """Publish a lane until it is empty, or something fails; then everything in it is taken anew, in order."""
        lane = self._lanes[key]
        try:
            while lane and not self._core.hub.stopping.is_set():
                parcel = lane[0]
                await self._instructions.publish(Instruction.FromString(parcel.body), is_control=key.is_control)
                lane.popleft()
                self._confirmed.append(parcel.id)
                self._marking.ring()
        except BrokerError as error:
            log.warning("instructions_postponed", agent=key.agent, count=len(lane), error=str(error))
        finally:
            self._in_hand.difference_update(parcel.id for parcel in lane)
            del self._lanes[key]

    async def _mark(self) -> None:
        while not self._core.hub.stopping.is_set():
            await self._marking.wait(at_most_s=self._core.settings.sweep_interval_s)
            # One transaction for all of a burst, and off the way of the launches in it.
            await wait_for(self._core.hub.stopping, at_most_s=_MARK_DELAY_S)
            try:
                await self._mark_confirmed()
            except TransientStoreError as error:
                log.warning("outbox_mark_postponed", error=str(error))
                await wait_for(self._core.hub.stopping, at_most_s=_STORE_RETRY_S)
                self._marking.ring()

    async def _mark_confirmed(self) -> None:
        ids = list(self._confirmed)
        if not ids:
            return
        async with self._marks:
            async with self._core.database.write() as tx:
                await outbox.mark_sent(tx, ids, at=clock.now())
            del self._confirmed[: len(ids)]
            self._in_hand.difference_update(ids)


def _parcel(command: NewInstruction | OutboxInstruction) -> _Parcel:
    return _Parcel(command.id, _LaneKey(command.deployment, command.agent, command.is_control), command.body)
