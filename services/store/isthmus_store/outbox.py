"""Commands on their way to agents: written with the change that needs them, sent after it, settled by their result."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, func, select, text, update

from isthmus_store.record.instruction import NewInstruction, OutboxInstruction
from isthmus_store.state import InstructionOutcome
from isthmus_store.table.instruction import INSTRUCTIONS
from isthmus_store.transaction import Transaction, WriteTransaction


async def add(tx: WriteTransaction, instruction: NewInstruction) -> None:
    """Write a command. The same id twice is one command."""
    await add_many(tx, [instruction])


async def add_many(tx: WriteTransaction, instructions: Iterable[NewInstruction]) -> None:
    """Write commands, in their order; see `add`."""
    rows = [asdict(instruction) for instruction in instructions]
    if rows:
        await tx.execute(tx.insert_new(INSTRUCTIONS, "id"), rows)


async def get(tx: Transaction, instruction_id: str) -> OutboxInstruction | None:
    """Return the command, or None."""
    return await tx.first(OutboxInstruction, select(INSTRUCTIONS).where(INSTRUCTIONS.c.id == instruction_id))


async def get_many(tx: Transaction, ids: Collection[str]) -> dict[str, OutboxInstruction]:
    """Return those of the commands that exist, by id."""
    found = await tx.all(OutboxInstruction, _GET_MANY, {"b_ids": list(ids)})
    return {instruction.id: instruction for instruction in found}


class Lane(NamedTuple):
    """One way to an agent: its own queue at the broker, and its own order."""

    deployment: str
    agent: str
    is_control: bool


async def lanes(tx: Transaction) -> list[Lane]:
    """Return where commands go that no broker confirmed yet and that nobody settled: a step along the index for each."""
    return [Lane(row.deployment, row.agent, bool(row.is_control)) for row in await tx.execute(LANES)]


async def unsent(tx: Transaction, lane: Lane, *, limit: int) -> list[OutboxInstruction]:
    """Return the first commands of a lane that no broker confirmed yet and that nobody settled, in their order."""
    parameters = {f"b_{name}": value for name, value in lane._asdict().items()} | {"b_limit": limit}
    return await tx.all(OutboxInstruction, _UNSENT, parameters)


async def mark_sent(tx: WriteTransaction, ids: Collection[str], *, at: datetime) -> None:
    """Record that the broker has the commands."""
    await tx.execute(_MARK_SENT, {"b_ids": list(ids), "b_at": at})


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


class Taken(NamedTuple):
    """Commands of an agent that were written before a time, and behind a position."""

    deployment: str
    agent: str
    before: datetime
    after_position: int


async def taken(tx: Transaction, those: Taken, *, limit: int) -> list[OutboxInstruction]:
    """Return commands about runs that are at the broker, were written before a time and have no result, in their order."""
    table = INSTRUCTIONS
    condition = (
        table.c.settled_at.is_(None),
        # When exactly they went is not known: that is noted a moment later.
        table.c.sent_at.is_not(None),
        table.c.created_at < those.before,
        table.c.deployment == those.deployment,
        table.c.agent == those.agent,
        table.c.run_id != "",
        table.c.position > those.after_position,
    )
    return await tx.all(OutboxInstruction, select(table).where(*condition).order_by(table.c.position).limit(limit))


async def open_launches(
    tx: Transaction, *, deployment: str, agent: str, after_position: int, limit: int
) -> list[OutboxInstruction]:
    """Return launches by an agent that have no result, whether or not they are at the broker, in their order."""
    table = INSTRUCTIONS
    condition = (
        table.c.settled_at.is_(None),
        table.c.deployment == deployment,
        table.c.agent == agent,
        table.c.kind == "launch_run",
        table.c.position > after_position,
    )
    return await tx.all(OutboxInstruction, select(table).where(*condition).order_by(table.c.position).limit(limit))


async def send_again(tx: WriteTransaction, ids: Collection[str]) -> None:
    """Let commands without a result go to the broker once more."""
    table = INSTRUCTIONS
    await tx.execute(update(table).where(table.c.id.in_(ids), table.c.settled_at.is_(None)).values(sent_at=None))


async def of_run(tx: Transaction, run_id: str) -> list[OutboxInstruction]:
    """Return the commands about a run, in the order of writing."""
    statement = select(INSTRUCTIONS).where(INSTRUCTIONS.c.run_id == run_id).order_by(INSTRUCTIONS.c.position)
    return await tx.all(OutboxInstruction, statement)


async def drop_agent(tx: WriteTransaction, *, deployment: str, agent: str, at: datetime) -> list[OutboxInstruction]:
    """Settle every open command to an agent that is removed, as expired; returns them."""
    table = INSTRUCTIONS
    condition = (table.c.settled_at.is_(None), table.c.deployment == deployment, table.c.agent == agent)
    ids = (await tx.execute(select(table.c.id).where(*condition))).scalars().all()
    settled = await settle_many(tx, dict.fromkeys(ids, InstructionOutcome.EXPIRED), at=at)
    return sorted(settled.values(), key=lambda instruction: instruction.position)


_UNSENT = (
    select(INSTRUCTIONS)
    .where(
        INSTRUCTIONS.c.sent_at.is_(None),
        INSTRUCTIONS.c.settled_at.is_(None),
        INSTRUCTIONS.c.deployment == bindparam("b_deployment"),
        INSTRUCTIONS.c.agent == bindparam("b_agent"),
        INSTRUCTIONS.c.is_control == bindparam("b_is_control"),
    )
    .order_by(INSTRUCTIONS.c.position)
    .limit(bindparam("b_limit"))
)
# From each deployment to the next, and in each from agent to agent, along `ix_instructions_lane`; see `run_queue.LINES`.
LANES = text(
    """
    WITH RECURSIVE among (deployment) AS (
      SELECT min(deployment) FROM instructions WHERE sent_at IS NULL AND settled_at IS NULL
      UNION ALL
      SELECT (
        SELECT min(it.deployment) FROM instructions AS it
        WHERE it.sent_at IS NULL AND it.settled_at IS NULL AND it.deployment > among.deployment
      ) FROM among WHERE among.deployment IS NOT NULL
    ), head (deployment, agent) AS (
      SELECT among.deployment, (
        SELECT min(it.agent) FROM instructions AS it
        WHERE it.sent_at IS NULL AND it.settled_at IS NULL AND it.deployment = among.deployment
      ) FROM among WHERE among.deployment IS NOT NULL
      UNION ALL
      SELECT head.deployment, (
        SELECT min(it.agent) FROM instructions AS it
        WHERE it.sent_at IS NULL AND it.settled_at IS NULL
          AND it.deployment = head.deployment AND it.agent > head.agent
      ) FROM head WHERE head.agent IS NOT NULL
    ), kind (is_control) AS (SELECT FALSE UNION ALL SELECT TRUE)
    SELECT head.deployment, head.agent, kind.is_control FROM head, kind
    WHERE head.agent IS NOT NULL AND (
      SELECT it.position FROM instructions AS it
      WHERE it.sent_at IS NULL AND it.settled_at IS NULL AND it.deployment = head.deployment
        AND it.agent = head.agent AND it.is_control = kind.is_control
      ORDER BY it.position LIMIT 1
    ) IS NOT NULL
    ORDER BY head.deployment, head.agent, kind.is_control
    """
)
_GET_MANY = select(INSTRUCTIONS).where(INSTRUCTIONS.c.id.in_(bindparam("b_ids", expanding=True)))
_MARK_SENT = (
    update(INSTRUCTIONS)
    .where(INSTRUCTIONS.c.id.in_(bindparam("b_ids", expanding=True)), INSTRUCTIONS.c.sent_at.is_(None))
    .values(sent_at=bindparam("b_at"))
)
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
