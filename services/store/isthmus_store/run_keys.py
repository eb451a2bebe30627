"""The run keys that sensors have used: a key is good for one run."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, delete, select, update

from isthmus_store.table.automation import SENSOR_RUN_KEYS
from isthmus_store.transaction import Transaction, WriteTransaction

#: How old the note of when a key was asked for last may be: a sensor that asks for the same keys at each tick writes nothing.
_NOTED_FOR: Final = timedelta(days=1)
#: As many keys as one statement names.
_PORTION: Final = 500


class Sensor(NamedTuple):
    """Whose keys."""

    deployment: str
    location: str
    sensor: str


async def used(tx: Transaction, owner: Sensor, keys: Collection[str]) -> set[str]:
    """Return those of the keys that were used."""
    table, by_digest = SENSOR_RUN_KEYS, {_digest(key): key for key in keys}
    found: set[str] = set()
    for digests in _portions(sorted(by_digest)):
        statement = select(table.c.digest).where(*_of(owner), table.c.digest.in_(digests))
        found |= {by_digest[digest] for digest in (await tx.execute(statement)).scalars()}
    return found


async def use(tx: WriteTransaction, owner: Sensor, runs: Mapping[str, str], *, at: datetime) -> None:
    """Use keys, none of which was used, for these runs."""
    rows = [
        {**owner._asdict(), "digest": _digest(key), "run_id": run_id, "asked_at": at} for key, run_id in runs.items()
    ]
    if rows:
        await tx.execute(tx.insert(SENSOR_RUN_KEYS), rows)


async def note(tx: WriteTransaction, owner: Sensor, keys: Collection[str], *, at: datetime) -> None:
    """Note that used keys were asked for again, so that they are kept."""
    table = SENSOR_RUN_KEYS
    for digests in _portions(sorted(_digest(key) for key in keys)):
        is_old = (*_of(owner), table.c.digest.in_(digests), table.c.asked_at < at - _NOTED_FOR)
        await tx.execute(update(table).where(*is_old).values(asked_at=at))


async def old(tx: Transaction, rows: int, *, asked_before: datetime) -> Sequence[int]:
    """Return keys that nobody asked for in a long time, oldest first."""
    table = SENSOR_RUN_KEYS
    statement = select(table.c.id).where(table.c.asked_at < asked_before).order_by(table.c.asked_at).limit(rows)
    return (await tx.execute(statement)).scalars().all()


async def remove(tx: WriteTransaction, ids: Collection[int]) -> None:
    """Forget keys: they are good for a run again."""
    await tx.execute(delete(SENSOR_RUN_KEYS).where(SENSOR_RUN_KEYS.c.id.in_(sorted(ids))))


def _of(owner: Sensor) -> list[ColumnElement[bool]]:
    return [SENSOR_RUN_KEYS.c[name] == value for name, value in owner._asdict().items()]


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def _portions(digests: Sequence[str]) -> list[Sequence[str]]:
    return [digests[start : start + _PORTION] for start in range(0, len(digests), _PORTION)]
