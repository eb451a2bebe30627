"""The channel for instructions: the control plane publishes them, one agent consumes them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from google.protobuf.message import DecodeError
from isthmus.v1.instruction_pb2 import Instruction
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_broker.acknowledgements import Acknowledgements
from isthmus_broker.bounds import tame
from isthmus_broker.consumer import Consumer, Intake
from isthmus_broker.delivery import Delivery
from isthmus_broker.errors import MalformedMessageError
from isthmus_broker.publisher import OutgoingMessage, Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import RetryPauses, Settlement
from isthmus_broker.topology import INSTRUCTIONS, instruction_queue

log = get_logger(__name__)

Handler = Callable[[Instruction], Awaitable[Settlement]]

#: An instruction outlives its deadline in the queue by this much, seconds: an agent that is there answers EXPIRED
#: itself; the broker dead-letters only what nobody takes.
EXPIRY_MARGIN_S = 2.0


def decode_instruction(body: bytes) -> Instruction:
    """Return the instruction that the bytes are.

    Raises:
        MalformedMessageError: they are none, or one without the fields that every instruction has.
    """
    try:
        instruction = Instruction.FromString(body)
    except DecodeError as error:
        raise MalformedMessageError(expected="an instruction", problem=f"the bytes are none ({error})") from error
    for name in ("id", "deployment", "agent"):
        if not getattr(instruction, name):
            raise MalformedMessageError(expected="an instruction", problem=f"its field {name!r} is empty")
    tame(instruction)
    return instruction


class Holding(Protocol):
    """Whoever wants to know whether an agent's queues are ours."""

    def note_held(self) -> None:
        """They are, from now on."""

    def note_lost(self) -> None:
        """They are not any more."""

    def note_refused(self) -> None:
        """They are somebody else's."""


class InstructionPublisher:
    """Publishes instructions to agents' queues."""

    def __init__(self, publisher: Publisher) -> None:
        """Publish over `publisher`, which the caller enters and leaves."""
        self._publisher = publisher

    async def publish(self, instruction: Instruction, *, is_control: bool = False) -> None:
        """Publish and wait for the confirm: the instruction is then in the agent's queue, or kept as unroutable.

        Raises what `Publisher.publish` raises.
        """
        expires_in_s = None
        if instruction.HasField("not_after"):
            left_s = instruction.not_after.ToNanoseconds() / 1e9 - time.time()
            expires_in_s = max(0.0, left_s) + EXPIRY_MARGIN_S
        await self._publisher.publish(
            OutgoingMessage(
                exchange=INSTRUCTIONS,
                routing_key=instruction_queue(instruction.deployment, instruction.agent, is_control=is_control),
                body=instruction.SerializeToString(),
                expires_in_s=expires_in_s,
            )
        )


@dataclass(frozen=True, slots=True)
class Recipient:
    """The agent that is meant, and whose instructions and answers alone it takes: None for anybody's."""

    deployment: str
    agent: str
    allowed_sender: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """What one process at a time has, together with an agent's queues."""

    #: An exclusive intake that is consumed on the same connection before them.
    lock: Intake
    #: Is told whether it is this process's.
    holding: Holding | None = None


class InstructionConsumer:
    """Consumes both queues of one agent.

    Handlers run concurrently, as many per queue as its prefetch allows. What is not an instruction is dead-lettered
    before any handler sees it; a handler that raises makes the instruction come again after a growing pause, until the
    delivery limit: then it is dead-lettered, and the control plane tells its run. While at most half of the prefetch waits for
    another try, the rest of the queue goes on.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        recipient: Recipient,
        *,
        prefetch: int,
        handle: Handler,
        hold: Hold | None = None,
    ) -> None:
        """Prepare to consume.

        With an allowed sender, instructions that the broker did not verify as that account's are dead-lettered. With `hold`,
        one process at a time has the queues.
        """
        holding = hold.holding if hold is not None else None
        self._holding = holding
        self._handle = handle
        self._allowed_sender = recipient.allowed_sender
        queues = tuple(
            instruction_queue(recipient.deployment, recipient.agent, is_control=is_control)
            for is_control in (False, True)
        )
        intakes = tuple(
            Intake(queue, prefetch, self._on_delivery, is_idle=partial(self._is_idle, queue)) for queue in queues
        )
        self._consumer = Consumer(
            settings,
            (hold.lock, *intakes) if hold is not None else intakes,
            on_connected=holding.note_held if holding is not None else None,
            on_lost=self._on_lost,
            on_refused=holding.note_refused if holding is not None else None,
        )
        self._tasks: asyncio.TaskGroup | None = None
        self._working: set[asyncio.Task[None]] = set()
        self._boundary = Boundary("instruction")
        self._settling = {intake.queue: Acknowledgements() for intake in intakes}
        self._pauses = {
            intake.queue: RetryPauses(
                places=prefetch // 2, minimum_s=settings.retry_min_s, maximum_s=settings.retry_max_s
            )
            for intake in intakes
        }

    @property
    def is_consuming(self) -> bool:
        """Whether the broker delivers to us at this moment."""
        return self._consumer.is_consuming

    async def wait_consuming(self) -> None:
        """Wait until the broker delivers to us."""
        await self._consumer.wait_consuming()

    async def run(self) -> None:
        """Consume until cancelled; a cancelled handler's instruction goes back to the queue."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await self._consumer.run()

    async def drain(self, *, deadline_s: float) -> None:
        """Take nothing more, wait up to `deadline_s` for the handlers, and let the rest return to the queue."""
        await self._consumer.stop_intake()
        for pauses in self._pauses.values():
            pauses.end()
        if not self._working:
            return
        _, late = await asyncio.wait(self._working, timeout=deadline_s)
        for task in late:
            task.cancel()
        if late:
            log.warning("instructions_returned", count=len(late), waited_s=deadline_s)
            await asyncio.wait(late)

    def _on_lost(self) -> None:
        """Let what is in hand go: the broker delivers it again, and what a handler has still to say of it is void."""
        for task in self._working:
            task.cancel()
        self._settling = {queue: Acknowledgements() for queue in self._settling}
        if self._holding is not None:
            self._holding.note_lost()

    def _is_idle(self, queue: str) -> bool:
        return self._settling[queue].is_empty

    def _on_delivery(self, delivery: Delivery) -> None:
        if self._tasks is None:
            return
        settling = self._settling[delivery.queue]
        settling.note(delivery)
        task = self._tasks.create_task(self._work(delivery, settling))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _work(self, delivery: Delivery, settling: Acknowledgements) -> None:
        # What a handler raises makes the instruction come again: the delivery limit bounds how often.
        settlement = Settlement.RETRY
        with self._boundary.guard(queue=delivery.queue, earlier_failures=delivery.earlier_failures):
            settlement = await self._judge(delivery)
        if settlement is Settlement.RETRY:
            await self._pauses[delivery.queue].wait(delivery.earlier_failures)
        await settling.settle(delivery, settlement)

    async def _judge(self, delivery: Delivery) -> Settlement:
        if self._allowed_sender is not None and delivery.sender != self._allowed_sender:
            log.warning("instruction_from_wrong_sender", queue=delivery.queue, sender=delivery.sender)
            return Settlement.DEAD_LETTER
        try:
            instruction = decode_instruction(delivery.body)
        except MalformedMessageError as error:
            log.warning("instruction_malformed", queue=delivery.queue, size=len(delivery.body), problem=error.problem)
            return Settlement.DEAD_LETTER
        return await self._handle(instruction)
