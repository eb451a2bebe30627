"""Reads what the broker could not deliver, keeps it, and settles what waited for it."""

from typing import NoReturn

from isthmus.v1.instruction_pb2 import Instruction
from isthmus_broker import topology
from isthmus_broker.dead_letters import DeadLetter, DeadLetterConsumer
from isthmus_broker.errors import BrokerError, MalformedMessageError
from isthmus_broker.instructions import InstructionPublisher, decode_instruction
from isthmus_broker.link import LINK_ERRORS
from isthmus_broker.settlement import Settlement
from isthmus_lifecycle.log import get_logger
from isthmus_store import agents, dead_letters, outbox
from isthmus_store.errors import TransientStoreError
from isthmus_store.record.dead_letter import NewDeadLetter
from isthmus_store.record.instruction import OutboxInstruction
from isthmus_store.signal import LaunchRefused
from isthmus_store.state import InstructionOutcome, RunReason
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane import clock
from isthmus_control_plane.commands import settlement
from isthmus_control_plane.core import Core

log = get_logger(__name__)

#: What is kept of a message, bytes: enough to see what it is.
_KEPT_BYTES = 64 * 1024


class DeadLetterReader:
    """Every dead instruction gets its end here, so that no run waits for one."""

    def __init__(self, core: Core, *, publisher: InstructionPublisher) -> None:
        self._core = core
        self._publisher = publisher
        self._consumer = DeadLetterConsumer(
            core.broker.named("isthmus control plane dead letters"),
            handle=self.handle,
            transient=(TransientStoreError, BrokerError, *LINK_ERRORS),
        )

    async def run(self) -> NoReturn:
        """Read until cancelled."""
        await self._consumer.run()
        raise AssertionError

    async def handle(self, letter: DeadLetter) -> Settlement:
        """Settle one letter. Transient errors go up: the letter comes again."""
        instruction = _instruction(letter)
        if instruction is not None and instruction.reply_to:
            # The asker's deadline is its end; nothing was stored about it.
            log.info("question_undeliverable", agent=instruction.agent, reason=letter.reason)
            return Settlement.ACK
        if instruction is not None and letter.reason == "unroutable" and await self._deliver_again(instruction):
            return Settlement.ACK
        await self._keep(letter, instruction=instruction)
        return Settlement.ACK

    async def _deliver_again(self, instruction: Instruction) -> bool:
        """Mend the queue of an agent that exists, as after the broker lost it, and send the instruction there."""
        deployment, name = instruction.deployment, instruction.agent
        async with self._core.database.read() as tx:
            agent = await agents.get(tx, deployment=deployment, name=name)
            row = await outbox.get(tx, instruction.id)
        if agent is None or row is None or row.settled_at is not None or row.not_after < clock.now():
            return False
        log.warning("agent_queue_missing", deployment=deployment, agent=name)
        # What fails here goes up, and the letter comes again.
        await topology.declare_agent(self._core.broker, deployment=deployment, agent=name)
        await self._publisher.publish(instruction, is_control=row.is_control)
        return True

    async def _keep(self, letter: DeadLetter, *, instruction: Instruction | None) -> None:
        at = clock.now()
        kept = NewDeadLetter(
            received_at=at,
            queue=letter.queue or letter.routing_key,
            reason=letter.reason,
            instruction_id=instruction.id if instruction else "",
            sender=letter.sender or "",
            body=letter.body[:_KEPT_BYTES],
        )
        async with self._core.database.write() as tx:
            await dead_letters.add(tx, kept)
            run_id = await self._settle(tx, letter, instruction=instruction) if instruction else ""
        log.error("dead_letter", queue=kept.queue, reason=kept.reason, instruction=kept.instruction_id, run=run_id)
        self._core.hub.run_changed(run_id)

    async def _settle(self, tx: WriteTransaction, letter: DeadLetter, *, instruction: Instruction) -> str:
        row = await outbox.get(tx, instruction.id)
        if row is None:
            return ""
        await settlement.settle(tx, row, loss=_loss(row, reason=letter.reason), at=clock.now())
        return row.run_id


def _instruction(letter: DeadLetter) -> Instruction | None:
    """Return the instruction that a letter was; None for telemetry, answers and garbage."""
    if letter.exchange != topology.INSTRUCTIONS:
        return None
    try:
        return decode_instruction(letter.body)
    except MalformedMessageError:
        return None


def _loss(row: OutboxInstruction, *, reason: str) -> settlement.Loss:
    if reason == "expired":
        return settlement.expired(row)
    words = {
        "rejected": f"agent {row.agent} could not read the launch; look at its log and its version",
        "delivery_limit": f"agent {row.agent} failed again and again while it handled the launch; look at its log",
        "unroutable": f"agent {row.agent} has no queue at the broker; create the agent again",
        "maxlen": f"the queue of agent {row.agent} is full",
    }
    text = words.get(reason, f"the broker could not deliver the launch to agent {row.agent} ({reason})")
    is_agents_fault = reason in {"rejected", "delivery_limit"}
    why = RunReason.INTERNAL_ERROR if is_agents_fault else RunReason.LOCATION_UNAVAILABLE
    return settlement.Loss(InstructionOutcome.FAILED, LaunchRefused(attempt=row.attempt, reason=why, message=text))
