"""Reads what the broker could not deliver, keeps it, and settles what waited for it."""

import asyncio
from collections import OrderedDict
from datetime import datetime
from typing import Final, NoReturn

from isthmus.v1.instruction_pb2 import Instruction
from isthmus_broker import declaring
from isthmus_broker.dead_letters import DeadLetter, DeadLetterConsumer
from isthmus_broker.errors import BrokerError, MalformedMessageError
from isthmus_broker.instructions import InstructionPublisher, decode_instruction
from isthmus_broker.link import LINK_ERRORS
from isthmus_broker.settlement import Settlement
from isthmus_lifecycle.log import get_logger
from isthmus_store import agents, dead_letters, outbox, runs
from isthmus_store.errors import TransientStoreError
from isthmus_store.record.agent import Agent
from isthmus_store.record.dead_letter import NewDeadLetter
from isthmus_store.record.instruction import OutboxInstruction
from isthmus_store.record.run import Run
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.commands import settlement
from isthmus_control_plane.commands.verdict import Fate, Standing, judge
from isthmus_control_plane.core import Core

log = get_logger(__name__)

#: What is kept of a message, bytes: enough to see what it is.
_KEPT_BYTES: Final = 64 * 1024
#: Commands of which it is known how often they came back; the one that came back longest ago is forgotten.
_MOST_KNOWN: Final = 10_000
#: The pause before a command that came back is sent again, seconds; doubled each time.
_PAUSE_S: Final = 0.25


class DeadLetterReader:
    """Every dead command gets its end here, so that no run waits for one.

    Whoever may publish can write a letter that looks like any other, with every header that the broker would give it. So
    a letter only says which row to look at. What the row and its run say decides, and what is sent again is the row's.
    """

    def __init__(self, core: Core, *, publisher: InstructionPublisher) -> None:
        self._core = core
        self._publisher = publisher
        self._returns: OrderedDict[str, int] = OrderedDict()
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
        at = clock.now()
        instruction = _instruction(letter)
        row, fate = await self._judge(instruction.id, at=at) if instruction is not None else (None, Fate.KEEP)
        if fate is Fate.SEND_AGAIN and row is not None:
            await self._send_again(row)
        elif instruction is None or not instruction.reply_to or row is not None:
            await self._keep(letter, row=row, fate=fate, at=at)
        else:
            # The asker's deadline is a question's end; nothing was stored about it.
            log.info("question_undeliverable", agent=instruction.agent, reason=letter.reason)
        return Settlement.ACK

    async def _judge(self, instruction_id: str, *, at: datetime) -> tuple[OutboxInstruction | None, Fate]:
        async with self._core.database.read() as tx:
            row = await outbox.get(tx, instruction_id)
            if row is None:
                return None, Fate.KEEP
            standing = Standing(
                agent=await _agent(tx, row), run=await _run(tx, row), returns=self._returns.get(row.id, 0)
            )
        return row, judge(row, standing=standing, at=at)

    async def _send_again(self, row: OutboxInstruction) -> None:
        """Mend the agent's queue, as after the broker lost it, and send the command there, after a growing pause."""
        returns, is_sent = self._returns.pop(row.id, 0), False
        # Counted first: another letter about the same command may come meanwhile.
        self._returns[row.id] = returns + 1
        log.warning("command_came_back", command=row.id, agent=row.agent, kind=row.kind, times=returns + 1)
        try:
            await asyncio.sleep(_PAUSE_S * 2**returns if returns else 0)
            await declaring.declare_agent(self._core.broker, deployment=row.deployment, agent=row.agent)
            await self._publisher.publish(Instruction.FromString(row.body), is_control=row.is_control)
            is_sent = True
        finally:
            if not is_sent:
                # What failed goes up, and the letter comes again.
                self._returns[row.id] = returns
        if len(self._returns) > _MOST_KNOWN:
            self._returns.popitem(last=False)

    async def _keep(self, letter: DeadLetter, *, row: OutboxInstruction | None, fate: Fate, at: datetime) -> None:
        kept = NewDeadLetter(
            received_at=at,
            queue=letter.queue or letter.routing_key,
            reason=letter.reason,
            instruction_id=row.id if row is not None else "",
            sender=letter.sender or "",
            body=letter.body[:_KEPT_BYTES],
        )
        loss = settlement.loss_of(row, fate=fate) if row is not None else None
        async with self._core.database.write() as tx:
            await dead_letters.add(tx, kept)
            if row is not None and loss is not None:
                await settlement.settle(tx, row, loss=loss, at=at)
        run_id = row.run_id if row is not None else ""
        log.error("dead_letter", queue=kept.queue, reason=kept.reason, instruction=kept.instruction_id, run=run_id)
        if row is not None:
            self._returns.pop(row.id, None)
            self._core.hub.run_ended(row.run_id)


async def _agent(tx: Transaction, row: OutboxInstruction) -> Agent | None:
    return await agents.get(tx, deployment=row.deployment, name=row.agent)


async def _run(tx: Transaction, row: OutboxInstruction) -> Run | None:
    return await runs.get(tx, row.run_id) if row.run_id else None


def _instruction(letter: DeadLetter) -> Instruction | None:
    """Return the instruction that a letter says it is; None for telemetry, answers and garbage."""
    try:
        return decode_instruction(letter.body)
    except MalformedMessageError:
        return None
