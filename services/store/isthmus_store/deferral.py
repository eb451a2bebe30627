"""Runs that wait for a moment before they wait for anything else: they stand in lines of their own, until it has come.

The names of these lines begin behind those of all others, and go on with the moment: the first of them is due first.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import String, bindparam, func, select, update

from isthmus_store.column import from_microseconds, to_microseconds
from isthmus_store.run_queue import DEFERRED, IS_WAITING
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction, WriteTransaction

_DIGITS: Final = 17


def deferred_line(deployment: str, *, until: datetime) -> str:
    """Name the line of a deployment's runs that wait for a moment."""
    return f"{DEFERRED}{to_microseconds(until):0{_DIGITS}d}/{deployment}"


def deferred_until(line: str) -> datetime | None:
    """Return the moment that a line's runs wait for; None for any other line."""
    digits = line[len(DEFERRED) :].partition("/")[0]
    return from_microseconds(int(digits)) if line.startswith(DEFERRED) and digits.isdecimal() else None


def deployment_of(line: str) -> str:
    """Return the deployment of a line of such runs."""
    return line.partition("/")[2]


async def next_due(tx: Transaction) -> datetime | None:
    """Return the moment that comes first; None when nobody waits for one."""
    line = (await tx.execute(_FIRST)).scalar_one()
    return None if line is None else deferred_until(line)


async def release(tx: WriteTransaction, *, at: datetime) -> int:
    """Let all go on whose moments have come: the queue puts them into their lines. Returns how many."""
    # Greater than all that follows the moment in a name.
    last = f"{DEFERRED}{to_microseconds(at):0{_DIGITS}d}{DEFERRED}"
    return (await tx.execute(_RELEASE, {"b_last": last})).rowcount


_FIRST: Final = select(func.min(RUNS.c.line)).where(IS_WAITING, RUNS.c.line >= DEFERRED)
_RELEASE: Final = (
    update(RUNS)
    .where(IS_WAITING, RUNS.c.line >= DEFERRED, RUNS.c.line <= bindparam("b_last", type_=String()))
    .values(line="")
)
