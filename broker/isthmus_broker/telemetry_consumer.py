"""How the monitor takes telemetry: the queues of many agents, each in its order, and from each in turn."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from zlib import crc32

from isthmus.v1.telemetry_pb2 import TelemetryBatch
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.waiting import wait_for

from isthmus_broker.compression import MAX_BODY_BYTES, unfolded_size
from isthmus_broker.consumer import Attachment, Consumer, Intake
from isthmus_broker.delivery import Delivery
from isthmus_broker.errors import MalformedMessageError
from isthmus_broker.rota import Rota
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement
from isthmus_broker.telemetry import decode_batch
from isthmus_broker.topology import agent_telemetry_queue, monitor_queue

log = get_logger(__name__)

#: How much is unfolded at once for a group of messages, bytes; a single one may be larger.
MAX_GROUP_BYTES: Final = 64 * 1024**2
#: About how many events a group has: what others say waits no longer than for that.
MAX_GROUP_EVENTS: Final = 4_000
#: What unfolds to more than this, bytes, is decoded beside the event loop, which must not miss its own heartbeats.
_LARGE_BYTES: Final = 1024**2
#: How many batches of one agent may be delivered and not yet acknowledged: enough to keep the monitor busy with it alone.
AGENT_PREFETCH: Final = 200
#: How soon it is looked again whether the shard's own queue is empty when nothing comes from it, seconds.
_LOOK_AGAIN_S: Final = 1.0


@dataclass
class ReceivedBatch:
    """A batch as it came from the broker."""

    batch: TelemetryBatch
    routing_key: str
    #: The account that the broker verified as the sender.
    sender: str | None
    _delivery: Delivery
    _is_rejected: bool = field(default=False, init=False)

    @property
    def queue(self) -> str:
        """The queue that it came from."""
        return self._delivery.queue

    @property
    def is_rejected(self) -> bool:
        """Whether it was set aside."""
        return self._is_rejected

    async def reject(self) -> None:
        """Set this one aside as poison; the rest of its group is settled as before."""
        self._is_rejected = True
        await self._delivery.settle(Settlement.DEAD_LETTER)

    async def ack_with_earlier(self) -> None:
        """Settle this one and all before it in its queue that are not settled yet."""
        await self._delivery.settle(Settlement.ACK, with_earlier=True)


@dataclass(frozen=True)
class BatchGroup:
    """Batches that arrived one after another, to be stored in one transaction."""

    items: tuple[ReceivedBatch, ...]

    async def ack(self) -> None:
        """Settle the whole group: its effect is durable."""
        # Not by the tag of one that was set aside: the broker closes the channel over a tag that is settled already.
        last = {item.queue: item for item in self.items if not item.is_rejected}
        for item in last.values():
            await item.ack_with_earlier()


@dataclass(frozen=True)
class AgentPlace:
    """An agent that has a place at the broker, and which one: who is removed and created again has another."""

    deployment: str
    agent: str
    made_at: float = 0.0

    @property
    def queue(self) -> str:
        """Where what it says waits."""
        return agent_telemetry_queue(self.deployment, self.agent)

    def is_of(self, shard: int, *, shards: int) -> bool:
        """Tell whether a shard is to read it."""
        return crc32(f"{self.deployment}.{self.agent}".encode()) % shards == shard


@dataclass
class TelemetryConsumer:
    """Consumes a shard of the telemetry, each queue in order and as its only active consumer.

    To the shard belong a queue for what is said in the name of no agent that has one, and the queues of those agents that
    `follow` names. `run` keeps the connection; `groups` gives what has arrived, of each queue in turn: an agent that floods
    waits behind itself. What is not telemetry is dead-lettered at once.
    """

    settings: BrokerSettings
    shard: int = 0
    shards: int = 1
    #: How many batches of the shard's own queue may be delivered and not yet acknowledged.
    prefetch: int = 400
    #: How many batches make a group at the most.
    max_group: int = 200
    on_connected: Callable[[], None] | None = None
    on_lost: Callable[[], None] | None = None
    _rota: Rota[Delivery] = field(default_factory=Rota, init=False)
    _followed: dict[str, tuple[AgentPlace, Attachment]] = field(default_factory=dict, init=False)
    #: How many deliveries of the shard's own queue were taken, ever.
    _taken: int = field(default=0, init=False)
    _has_moved: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _boundary: Boundary = field(default_factory=lambda: Boundary("telemetry message"), init=False)

    def __post_init__(self) -> None:
        intake = Intake(monitor_queue(self.shard), self.prefetch, self._note)
        self._consumer = Consumer(
            self.settings, (intake,), on_connected=self.on_connected, on_lost=self._forget_and_tell
        )

    @property
    def is_consuming(self) -> bool:
        """Whether the broker delivers to us at this moment."""
        return self._consumer.is_consuming

    @property
    def backlog(self) -> int:
        """How many batches were delivered and wait to be taken."""
        return len(self._rota)

    async def wait_consuming(self) -> None:
        """Wait until the broker delivers to us."""
        await self._consumer.wait_consuming()

    async def run(self) -> None:
        """Consume until cancelled."""
        await self._consumer.run()

    async def stop_intake(self) -> None:
        """Take nothing more from the broker."""
        await self._consumer.stop_intake()
        for _, attachment in self._followed.values():
            await attachment.stop()

    def start_over(self) -> None:
        """Give everything back that is not acknowledged: it comes again, in order, over a new connection."""
        self._consumer.start_over()
        self._forget()

    # ------------------------------------------------------------------------------------------------ whose queues

    async def follow(self, places: Collection[AgentPlace]) -> bool:
        """Consume the queues of those agents that fall to this shard, and of no others.

        Returns whether all of them are consumed. Call it again when there are others, and from time to time: a queue may not
        be there yet. Not to be called twice at once.
        """
        wanted = {place.queue: place for place in places if place.is_of(self.shard, shards=self.shards)}
        for queue, (place, attachment) in list(self._followed.items()):
            # RabbitMQ tells nothing to the readers of a queue that is deleted and made again, and brings them nothing either.
            if wanted.get(queue) != place or attachment.is_gone:
                await self._leave(queue, attachment)
        fresh = sorted(wanted.keys() - self._followed.keys())
        if not fresh:
            return True
        # What these agents said before their queues were there is in the shard's own, and comes first.
        if not await self._has_caught_up():
            return False
        for queue in fresh:
            attached = await self._consumer.attach(Intake(queue, AGENT_PREFETCH, self._note))
            if attached is not None:
                self._followed[queue] = (wanted[queue], attached)
        return self._followed.keys() >= wanted.keys()

    async def _leave(self, queue: str, attachment: Attachment) -> None:
        del self._followed[queue]
        # Of what comes again, nothing may be taken out of its order before it does.
        self._rota.forget(queue)
        await attachment.close()

    async def _has_caught_up(self) -> bool:
        """Wait until what is in the shard's own queue was taken; False when the connection is lost meanwhile."""
        # Twice: at the first look a delivery may be on its way to us.
        return await self._has_emptied() and await self._has_emptied()

    async def _has_emptied(self) -> bool:
        waiting = await self._waiting()
        last = self._taken + (waiting or 0)
        while waiting is not None and self._taken < last:
            self._has_moved.clear()
            if not await wait_for(self._has_moved, at_most_s=_LOOK_AGAIN_S):
                # Another monitor may be the one that is given them.
                waiting = await self._waiting()
                last = min(last, self._taken + (waiting or 0))
        return waiting is not None and self.is_consuming

    async def _waiting(self) -> int | None:
        """Return how much of the shard's own queue is to be taken yet; None where that cannot be known now."""
        queue = monitor_queue(self.shard)
        found = await self._consumer.look(queue)
        return None if found is None else found.messages + self._rota.waiting(queue)

    # ---------------------------------------------------------------------------------------------- what they bring

    async def groups(self) -> AsyncIterator[BatchGroup]:
        """Give what has arrived: of each queue in turn, all that is there at that moment, up to the bounds of a group."""
        while True:
            await self._rota.wait()
            items = await self._gather()
            if items:
                yield BatchGroup(tuple(items))

    async def _gather(self) -> list[ReceivedBatch]:
        items: list[ReceivedBatch] = []
        count = size = events = 0
        while count < self.max_group and events < MAX_GROUP_EVENTS and (delivery := self._rota.next()) is not None:
            size += _weight(delivery)
            if count and size > MAX_GROUP_BYTES:
                break
            count += 1
            self._take()
            item = await self._decode(delivery)
            if item is not None:
                items.append(item)
                events += len(item.batch.events)
        return items

    def _take(self) -> None:
        if self._rota.take().queue == monitor_queue(self.shard):
            self._taken += 1
            self._has_moved.set()

    def _note(self, delivery: Delivery) -> None:
        self._rota.put(delivery.queue, delivery)

    async def _decode(self, delivery: Delivery) -> ReceivedBatch | None:
        with self._boundary.guard(routing_key=delivery.routing_key, sender=delivery.sender):
            try:
                batch = await self._unfold(delivery)
            except MalformedMessageError as error:
                log.warning("telemetry_malformed", routing_key=delivery.routing_key, problem=error.problem)
            else:
                return ReceivedBatch(batch, delivery.routing_key, delivery.sender, delivery)
        await delivery.settle(Settlement.DEAD_LETTER)
        return None

    async def _unfold(self, delivery: Delivery) -> TelemetryBatch:
        decode = partial(decode_batch, delivery.body, content_encoding=delivery.content_encoding)
        return await asyncio.to_thread(decode) if _weight(delivery) > _LARGE_BYTES else decode()

    def _forget(self) -> None:
        # The broker takes them back and will deliver them again, in order.
        self._rota.clear()
        self._followed.clear()
        self._has_moved.set()

    def _forget_and_tell(self) -> None:
        self._forget()
        if self.on_lost is not None:
            self.on_lost()


def _weight(delivery: Delivery) -> int:
    """Return about how many bytes a message unfolds to; the most that it may where it does not say."""
    size = unfolded_size(delivery.body, content_encoding=delivery.content_encoding)
    return MAX_BODY_BYTES if size is None else size
