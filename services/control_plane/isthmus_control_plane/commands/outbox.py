"""Carries written commands to the broker: in order per lane, side by side across lanes, each until it is confirmed."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from isthmus.v1.instruction_pb2 import Instruction
from isthmus_broker.errors import PublishRefusedError, TransientBrokerError, UnroutableError
from isthmus_broker.instructions import InstructionPublisher
from isthmus_broker.publisher import Publisher
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.waiting import wait_for
from isthmus_store import outbox
from isthmus_store.errors import TransientStoreError
from isthmus_store.outbox import Lane
from isthmus_store.record.instruction import NewInstruction, OutboxInstruction
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.commands import settlement
from isthmus_control_plane.core import Core
from isthmus_control_plane.wake import Wake

log = get_logger(__name__)

#: Unsent commands of one lane that are taken up at once, so that a long absence fills neither memory nor a sweep.
_LOOK: Final = 500
#: The wait before the database is asked again after a fault, seconds.
_STORE_RETRY_S: Final = 1.0
#: How long confirmed commands wait for others to be marked with, seconds. A process that dies meanwhile sends them twice.
_MARK_DELAY_S: Final = 0.25
#: How soon the return of the broker is noticed, seconds.
_CONNECT_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class _Parcel:
    """One command on its way."""

    id: str
    lane: Lane
    body: bytes


class OutboxDispatcher:
    """Publishes commands that are not known to be at the broker yet.

    A confirm that does not come means that the command may be there or not: it is published again, and the agent tells
    the second one from the first by its id. A process that dies between confirm and mark does the same. A command that
    cannot be published for a reason that nobody foresaw is ended, and with it the run that it should have launched.
    """

    def __init__(self, core: Core, *, publisher: Publisher) -> None:
        self._core = core
        self._publisher = publisher
        self._instructions = InstructionPublisher(publisher)
        self._lanes: dict[Lane, deque[_Parcel]] = {}
        #: Lanes with commands in the store that are not in hand: what is offered to them must not go ahead of those.
        self._behind: set[Lane] = set()
        #: Those of them that fell behind after the sweep that is under way began, and that it may have missed.
        self._late: set[Lane] = set()
        #: Whether all other lanes are known to have nothing else in the store.
        self._is_swept = False
        #: Ids in a lane, or confirmed and not marked yet.
        self._in_hand: set[str] = set()
        self._confirmed: list[str] = []
        self._marking = Wake()
        # A sweep must not take what is being marked for unsent: it would go out twice.
        self._marks = asyncio.Lock()
        self._tasks: asyncio.TaskGroup | None = None
        self._lane_boundary = Boundary("lane", passes=(TransientStoreError,))
        self._command_boundary = Boundary("command", passes=(TransientBrokerError, UnroutableError))

    def offer(self, *commands: NewInstruction) -> None:
        """Send commands that were committed just now, without reading them back.

        Whatever keeps them from going now, a sweep finds them.
        """
        can_send = self._tasks is not None and self._is_swept and self._publisher.is_connected
        for parcel in map(_parcel, commands):
            if can_send and parcel.lane not in self._behind:
                self._enqueue([parcel])
            else:
                self._fall_behind(parcel.lane)
                self._core.hub.outbox.ring()

    async def run(self) -> None:
        """Work until the hub stops, and end with what is in hand. What was not marked then is published again."""
        try:
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
        finally:
            self._tasks = None

    async def flush(self) -> None:
        """Mark what was confirmed, for the last time."""
        await self._mark_confirmed()

    async def _sweep(self) -> None:
        """Take up what is in the store and not in hand: after a failure, an outage, or a life of another process."""
        try:
            async with self._marks:
                self._late.clear()
                async with self._core.database.read() as tx:
                    left = {lane for lane in await outbox.lanes(tx) if not await self._take_up(tx, lane)}
        except TransientStoreError as error:
            log.warning("outbox_unreadable", error=str(error))
            return
        self._behind = left | self._late
        self._is_swept = True

    async def _take_up(self, tx: Transaction, lane: Lane) -> bool:
        """Take what is unsent of a lane into hand; returns whether that is all."""
        if lane in self._lanes:
            # Its worker rings when it is through with what it has.
            return lane not in self._behind
        with self._lane_boundary.guard(**lane._asdict()) as fate:
            rows = await outbox.unsent(tx, lane, limit=_LOOK)
            self._enqueue(_parcel(row) for row in rows)
        return fate.error is None and len(rows) < _LOOK

    def _fall_behind(self, lane: Lane) -> None:
        self._behind.add(lane)
        self._late.add(lane)

    def _enqueue(self, parcels: Iterable[_Parcel]) -> None:
        for parcel in parcels:
            if parcel.id in self._in_hand or self._tasks is None:
                continue
            self._in_hand.add(parcel.id)
            if parcel.lane not in self._lanes:
                self._lanes[parcel.lane] = deque()
                self._tasks.create_task(self._work(parcel.lane))
            self._lanes[parcel.lane].append(parcel)

    async def _work(self, key: Lane) -> None:
        """Publish a lane until it is empty, or something fails; then everything in it is taken anew, in order."""
        lane = self._lanes[key]
        try:
            while lane and not self._core.hub.stopping.is_set():
                await self._send(lane[0])
                lane.popleft()
        except (TransientBrokerError, UnroutableError, TransientStoreError) as error:
            log.warning("instructions_postponed", agent=key.agent, count=len(lane), error=str(error))
        finally:
            self._in_hand.difference_update(parcel.id for parcel in lane)
            del self._lanes[key]
            if lane:
                self._fall_behind(key)
            elif key in self._behind:
                self._core.hub.outbox.ring()

    async def _send(self, parcel: _Parcel) -> None:
        """Publish a command, or end one that cannot be published, now or later, and with it what waits for it."""
        ids = {"command": parcel.id, "agent": parcel.lane.agent}
        refusal: PublishRefusedError | None = None
        with self._command_boundary.guard(**ids) as fate:
            refusal = await self._publish(parcel)
        if refusal is not None:
            log.error("instruction_refused", error=str(refusal), **ids)
        if fate.error is not None or refusal is not None:
            # One that cannot even be ended stays in hand, and so out of the others' way, until this process ends.
            with self._lane_boundary.guard(**ids):
                await self._end(parcel, refusal=refusal)

    async def _publish(self, parcel: _Parcel) -> PublishRefusedError | None:
        """Publish, and return the refusal of a broker that takes no message that large."""
        try:
            await self._instructions.publish(Instruction.FromString(parcel.body), is_control=parcel.lane.is_control)
        except PublishRefusedError as error:
            return error
        self._confirmed.append(parcel.id)
        self._marking.ring()
        return None

    async def _end(self, parcel: _Parcel, *, refusal: PublishRefusedError | None) -> None:
        async with self._core.database.write() as tx:
            row = await outbox.get(tx, parcel.id)
            if row is not None:
                loss = settlement.unsendable(row) if refusal is None else settlement.too_large(row, why=str(refusal))
                await settlement.settle(tx, row, loss=loss, at=clock.now())
        self._in_hand.discard(parcel.id)
        if row is not None:
            self._core.hub.run_ended(row.run_id)

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
    return _Parcel(command.id, Lane(command.deployment, command.agent, command.is_control), command.body)
