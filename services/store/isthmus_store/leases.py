"""Leases: who does the work of which there is one, and the number by which each write proves that its writer still does.

Time is the database's own, so that processes on machines whose clocks differ agree on it. A lease that is said to last for
longer than the asker wants its own to last (a clock was set back) counts as if it ended after that time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text, update

from isthmus_store.column import from_microseconds
from isthmus_store.errors import LeaseLostError
from isthmus_store.table.leadership import LEASES
from isthmus_store.transaction import Transaction, WriteTransaction


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """A holder's right to do the work, until another holds a larger number."""

    name: str
    holder: str
    number: int
    expires_at: datetime


async def now(tx: Transaction) -> datetime:
    """Return the time by the database's clock."""
    statement = _POSTGRESQL_NOW if tx.is_postgresql else _SQLITE_NOW
    return from_microseconds(int((await tx.execute(statement)).scalar_one()))


async def acquire(tx: WriteTransaction, name: str, *, holder: str, duration: timedelta) -> Lease | None:
    """Take the lease if nobody holds it, under a number that nobody had; None while another holds it."""
    await _let_go_soon(tx)
    await tx.exclusive(f"lease {name}")
    at = await now(tx)
    # Waits for the writes of who held it last; its renewals do not, so that many writes cannot keep it from them.
    known = await tx.first(Lease, select(LEASES).where(LEASES.c.name == name).with_for_update())
    if known is not None and at < known.expires_at <= at + duration:
        return None
    # Longer than a lease may last: made by a clock that was ahead. It ends after a whole duration from now.
    if known is not None and known.expires_at > at + duration:
        await tx.execute(update(LEASES).where(LEASES.c.name == name).values(expires_at=at + duration))
        return None
    lease = Lease(
        name=name, holder=holder, number=known.number + 1 if known is not None else 1, expires_at=at + duration
    )
    values = {"name": name, "holder": holder, "number": lease.number, "expires_at": lease.expires_at}
    insertion = tx.insert(LEASES).values(values)
    await tx.execute(insertion.on_conflict_do_update(index_elements=["name"], set_=values))
    return lease


async def get(tx: Transaction, name: str) -> Lease | None:
    """Return the lease as it stands, held or expired; None when nobody ever held it."""
    return await tx.first(Lease, select(LEASES).where(LEASES.c.name == name))


async def renew(tx: WriteTransaction, lease: Lease, *, duration: timedelta) -> None:
    """Hold the lease for another duration from now.

    Raises:
        LeaseLostError: another took it.
    """
    await _let_go_soon(tx)
    await _change(tx, lease, expires_at=await now(tx) + duration)


async def release(tx: WriteTransaction, lease: Lease) -> None:
    """Give the lease back, so that another need not wait for its end.

    Raises:
        LeaseLostError: another took it already.
    """
    await _change(tx, lease, expires_at=await now(tx))


async def check(tx: WriteTransaction, lease: Lease) -> None:
    """Make sure that the lease is held until this transaction ends: whoever wants to take it waits for that.

    Every transaction that writes under a lease calls this first.

    Raises:
        LeaseLostError: another took it; the caller must write nothing.
    """
    await _let_go_soon(tx)
    statement = select(LEASES.c.number).where(LEASES.c.name == lease.name).with_for_update(read=True, key_share=True)
    if (await tx.execute(statement)).scalar_one_or_none() != lease.number:
        raise LeaseLostError(name=lease.name, number=lease.number)


async def _let_go_soon(tx: WriteTransaction) -> None:
    """Have the transaction end if its process stands still in the midst of it: whoever takes over waits for its lock."""
    if tx.is_postgresql:
        await tx.execute(_LET_GO)


async def _change(tx: WriteTransaction, lease: Lease, *, expires_at: datetime) -> None:
    is_held = (LEASES.c.name == lease.name, LEASES.c.number == lease.number)
    if (await tx.execute(update(LEASES).where(*is_held).values(expires_at=expires_at))).rowcount != 1:
        raise LeaseLostError(name=lease.name, number=lease.number)


_LET_GO = text("SET LOCAL idle_in_transaction_session_timeout = '3s'")
_POSTGRESQL_NOW = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")
# Whole milliseconds: a Julian day in a double has no more. 2440587.5 is 1970.
_SQLITE_NOW = text("SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000")
