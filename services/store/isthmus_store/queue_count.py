"""What decides about the queue, but for the runs that wait and the fleet, in one statement: a look asks for it twice."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    Select,
    Text,
    cast,
    exists,
    literal_column,
    null,
    select,
    union_all,
)

from isthmus_store.column import RowNumber, from_microseconds
from isthmus_store.record.queue import ClaimingLine, Held, OnTheWay, Pause, PauseKind, PoolUse
from isthmus_store.run_queue import HELD, ON_THE_WAY
from isthmus_store.slot_claims import CLAIMING_LINES, USES
from isthmus_store.table.queue import PAUSES, QUEUE_SETTINGS
from isthmus_store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class QueueCount:
    """What is limited, paused and taken at one moment."""

    #: The body of each deployment's settings: a QueueSettings message.
    settings: dict[str, bytes]
    pauses: tuple[Pause, ...]
    #: Empty where nothing is limited.
    held: tuple[Held, ...]
    claiming: tuple[ClaimingLine, ...]
    uses: tuple[PoolUse, ...]
    on_the_way: tuple[OnTheWay, ...]


async def read(tx: Transaction, deployments: Collection[str]) -> QueueCount:
    """Read all of it; of the launches that are on their way, those of these deployments."""
    settings, paused = dict[str, bytes](), list[Pause]()
    held, claiming, uses, on_the_way = list[Held](), list[ClaimingLine](), list[PoolUse](), list[OnTheWay]()
    rows: list[tuple[Any, ...]] = [tuple(it) for it in await tx.execute(_COUNT, {"b_deployments": sorted(deployments)})]
    for what, name, other, count, more, *rest in rows:
        match what:
            case "held":
                held.append(Held(line=name, run_id=other, held=count))
            case "claiming":
                claiming.append(ClaimingLine(line=name, claiming=count, unclaimed=int(more)))
            case "use":
                uses.append(PoolUse(deployment=name, pool=other, granted=count, waiting=int(more)))
            case "way":
                on_the_way.append(OnTheWay(deployment=name, location=other, agent=rest[0], runs=count))
            case "settings":
                settings[name] = rest[-1]
            case _:
                paused.append(_pause(name, kind=other, at=more, words=rest))
    ordered = sorted(paused, key=lambda it: (it.deployment, it.kind, it.name))
    return QueueCount(settings, tuple(ordered), tuple(held), tuple(claiming), tuple(uses), tuple(on_the_way))


def _pause(deployment: str, *, kind: str, at: int, words: list[Any]) -> Pause:
    name, paused_by, why, _ = words
    return Pause(
        deployment=deployment,
        kind=PauseKind(kind),
        name=name,
        paused_by=paused_by,
        why=why,
        paused_at=from_microseconds(at),
    )


_WORD: Final = literal_column("''", Text)
_NUMBER: Final = literal_column("0", RowNumber)
_NO_BODY: Final = cast(null(), LargeBinary)
#: What is held is counted where something is limited: it costs all runs that go.
_IS_LIMITED: Final = exists().where(QUEUE_SETTINGS.c.is_limiting)


def _row(what: str, *columns: ColumnElement[Any], body: ColumnElement[Any] = _NO_BODY) -> Select[Any]:
    """Select rows of the one width that all of them have: two names, two numbers, three words, and a body."""
    names, numbers, words = columns[:2], columns[2:4], columns[4:]
    padded = (*names, *numbers, *(_NUMBER,) * (2 - len(numbers)), *words, *(_WORD,) * (3 - len(words)))
    return select(literal_column(f"'{what}'", Text), *padded, body)


_held, _claiming, _uses, _way = (it.subquery() for it in (HELD, CLAIMING_LINES, USES, ON_THE_WAY))
_COUNT: Final = union_all(
    _row("held", _held.c.line, _held.c.run_id, _held.c.held).where(_IS_LIMITED),
    _row("claiming", _claiming.c.line, _WORD, _claiming.c.claiming, _claiming.c.unclaimed),
    _row("use", _uses.c.deployment, _uses.c.pool, _uses.c.granted, _uses.c.waiting),
    _row("way", _way.c.deployment, _way.c.location, _way.c.runs, _NUMBER, _way.c.agent),
    _row("settings", QUEUE_SETTINGS.c.deployment, _WORD, body=QUEUE_SETTINGS.c.body),
    _row(
        "pause",
        PAUSES.c.deployment,
        PAUSES.c.kind,
        _NUMBER,
        cast(PAUSES.c.paused_at, RowNumber),
        PAUSES.c.name,
        PAUSES.c.paused_by,
        PAUSES.c.why,
    ),
)
