"""Commands on their way to agents: written with the change that needs them, sent after it, settled by their result."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import bindparam, func, select, update

from isthmus_store.record.instruction import NewInstruction, OutboxInstruction
from isthmus_store.state import InstructionOutcome
from isthmus_store.table.instruction import INSTRUCTIONS
from isthmus_store.transaction import Transaction, WriteTransaction


async def add(tx: WriteTransaction, instruction: NewInstruction) -> None:
    """Write a command. The same id twice is one command."""
    values = {
        "id": instruction.id,
        "deployment": instruction.deployment,
        "agent": instruction.agent,
        "is_control": instruction.is_control,
        "kind": instruction.kind,
        "run_id": instruction.run_id,
        "attempt": instruction.attempt,
        "body": instruction.body,
        "created_at": instruction.created_at,
        "not_after": instruction.not_after,
    }
    await tx.execute(tx.insert(INSTRUCTIONS).on_conflict_do_nothing(index_elements=["id"]).values(values))


async def get(tx: Transaction, instruction_id: str) -> OutboxInstruction | None:
    """Return the command, or None."""
    return await tx.first(OutboxInstruction, select(INSTRUCTIONS).where(INSTRUCTIONS.c.id == instruction_id))


async def get_many(tx: Transaction, ids: Collection[str]) -> dict[str, OutboxInstruction]:
    """Return those of the commands that exist, by id."""
    found = await tx.all(OutboxInstruction, _GET_MANY, {"b_ids": list(ids)})
    return {instruction.id: instruction for instruction in found}


async def unsent(tx: Transaction, *, limit: int = 500) -> list[OutboxInstruction]:
    """Return commands that no broker confirmed yet and that nobody settled, in the order of writing."""
    table = INSTRUCTIONS
    condition = (table.c.sent_at.is_(None), table.c.settled_at.is_(None))
    return await tx.all(OutboxInstruction, select(table).where(*condition).order_by(table.c.position).limit(limit))


async def mark_sent(tx: WriteTransaction, ids: Collection[str], *, at: datetime) -> None:
    """Record that the broker has the commands."""
    table = INSTRUCTIONS
    await tx.execute(update(table).where(table.c.id.in_(ids), table.c.sent_at.is_(None)).values(sent_at=at))


async def settle(
    tx: WriteTransaction, instruction_id: str, *, outcome: InstructionOutcome, at: datetime
) -> OutboxInstruction | None:
    """Record a command's end and return the command; None when it is unknown, or was settled before."""
    return (await settle_many(tx, {instruction_id: outcome}, at=at)).get(instruction_id)


async def settle_many(
    tx: WriteTransaction, outcomes: Mapping[str, InstructionOutcome], *, at: datetime
) -> dict[str, OutboxInstruction]:
    """Record the ends of commands; returns those that were open until now, by id."""
    table = INSTRUCTIONS
    is_open = (table.c.id.in_(sorted(outcomes)), table.c.settled_at.is_(None))
    found = await tx.all(OutboxInstruction, select(table).where(*is_open).order_by(table.c.id).with_for_update())
    settled = {instruction.id: instruction for instruction in found}
    if settled:
        rows = [{"b_id": key, "b_at": at, "b_outcome": outcomes[key]} for key in settled]
        await tx.execute(_SETTLE, rows)
    return settled


async def record_outcomes(tx: WriteTransaction, outcomes: Mapping[str, InstructionOutcome], *, at: datetime) -> None:
    """Record the ends of commands, without reading what they were; those that have one keep it."""
    rows = [{"b_id": key, "b_at": at, "b_outcome": outcomes[key]} for key in sorted(outcomes)]
    if rows:
        await tx.execute(_SETTLE, rows)


async def expired(tx: Transaction, *, before: datetime, limit: int = 200) -> list[OutboxInstruction]:
    """Return commands without a result whose deadline lies before the time, oldest deadline first."""
    table = INSTRUCTIONS
    condition = (table.c.settled_at.is_(None), table.c.not_after < before)
    return await tx.all(OutboxInstruction, select(table).where(*condition).order_by(table.c.not_after).limit(limit))


async def of_run(tx: Transaction, run_id: str) -> list[OutboxInstruction]:
    """Return the commands about a run, in the order of writing."""
    statement = select(INSTRUCTIONS).where(INSTRUCTIONS.c.run_id == run_id).order_by(INSTRUCTIONS.c.position)
    return await tx.all(OutboxInstruction, statement)


async def has_unsettled(tx: Transaction, *, deployment: str, agent: str, kind: str) -> bool:
    """Return whether a command of this kind to the agent has no result yet."""
    table = INSTRUCTIONS
    condition = (
        table.c.settled_at.is_(None),
        table.c.deployment == deployment,
        table.c.agent == agent,
        table.c.kind == kind,
    )
    return (await tx.execute(select(table.c.id).where(*condition).limit(1))).first() is not None


async def drop_agent(tx: WriteTransaction, *, deployment: str, agent: str, at: datetime) -> list[OutboxInstruction]:
    """Settle every open command to an agent that is removed, as expired; returns them."""
    table = INSTRUCTIONS
    condition = (table.c.settled_at.is_(None), table.c.deployment == deployment, table.c.agent == agent)
    ids = (await tx.execute(select(table.c.id).where(*condition))).scalars().all()
    settled = await settle_many(tx, dict.fromkeys(ids, InstructionOutcome.EXPIRED), at=at)
    return sorted(settled.values(), key=lambda instruction: instruction.position)


_GET_MANY = select(INSTRUCTIONS).where(INSTRUCTIONS.c.id.in_(bindparam("b_ids", expanding=True)))
_SETTLE = (
    update(INSTRUCTIONS)
    .where(INSTRUCTIONS.c.id == bindparam("b_id"), INSTRUCTIONS.c.settled_at.is_(None))
    .values(
        settled_at=bindparam("b_at"),
        outcome=bindparam("b_outcome"),
        # Nobody reads it any more, and it may hold what environments are made of.
        body=b"",
        # A result proves the sending, even when its confirm was lost.
        sent_at=func.coalesce(INSTRUCTIONS.c.sent_at, bindparam("b_at")),
    )
)
