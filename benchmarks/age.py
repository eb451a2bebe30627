"""Age: what removal costs, how long it holds the database, and the API's pages before and after."""

import asyncio
import logging
import os
import statistics
import time
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256

import structlog
from isthmus_agent.locations.pieces import PIECE_BYTES
from isthmus_control_plane.retention.pace import LIMIT_S, POSTGRESQL_S, SQLITE_S, Pace
from isthmus_monitor.delivery import utc_now
from isthmus_store import snapshot_pieces
from isthmus_store.database import Database
from isthmus_store.snapshot_pieces import Piece
from soak.page import measured
from soak.plan import Plan
from soak.year import Year

from benchmarks import machine
from benchmarks.figure import Better, Figure, Measure, Result
from benchmarks.option import Options
from benchmarks.stand import Place, Servers, place

_DAYS = 10
_RUNS_A_DAY = 400
#: The days of which runs are kept when the others are removed.
_KEPT_DAYS = 2
#: A location of some 6,500 assets has such a snapshot, bytes.
_SNAPSHOT_BYTES = 20 * 1024**2
_SNAPSHOTS = 5


class _Watched(Pace):
    """Remembers how long each part held the database."""

    def __init__(self, *, target_s: float) -> None:
        super().__init__(target_s=target_s)
        self.held_ms: list[float] = []

    def learn(self, *, weight: int, held_s: float) -> None:
        super().learn(weight=weight, held_s=held_s)
        self.held_ms.append(1000 * held_s)


def measure(servers: Servers, options: Options) -> Result:
    """Let days pass, remove most of them, and look at both databases."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    figures: list[Figure] = []
    for name, is_sqlite in (("SQLite", True), ("PostgreSQL", False)):
        with place(servers, is_sqlite=is_sqlite) as at, machine.watched(at.loads, system="Isthmus"):
            figures += asyncio.run(_figures(at, name, options))
    with place(servers, is_sqlite=True) as at, machine.watched(at.loads, system="Isthmus"):
        figures.append(asyncio.run(_snapshot_figure(at)))
    notes = (
        f"{_DAYS} days of {options.scaled(_RUNS_A_DAY)} runs, of which {_DAYS - _KEPT_DAYS} days are removed at full speed.",
        "A part's time is that from the beginning of its transaction to the end of its commit: others wait so long at the most.",
    )
    return Result(benchmark="age", figures=tuple(figures), notes=notes)


async def _figures(at: Place, name: str, options: Options) -> list[Figure]:
    plan = Plan(days=_DAYS, runs_a_day=options.scaled(_RUNS_A_DAY), kept_days=_DAYS + _KEPT_DAYS)
    is_sqlite = at.database_url.startswith("sqlite")
    pace = _Watched(target_s=SQLITE_S if is_sqlite else POSTGRESQL_S)
    async with Database.open(at.database_url) as database:
        await database.migrate()
        year = Year(plan, database, file=None, pace=pace)
        await year.begin()
        await year.live(_DAYS)
        before = await measured(year)
        events = year.events
        pace.held_ms.clear()
        year.at += timedelta(days=_DAYS)
        began = time.perf_counter()
        await year.leadership.step()
        removed = await year.sweeper.round()
        took_s = time.perf_counter() - began
        after = await measured(year)
    share = removed["runs"] / year.run_number
    slowest = {when: max(pages.values()) for when, pages in (("before", before), ("after", after))}
    return [
        Figure(
            name=f"events removed with their runs, {name}",
            unit="events/s",
            better=Better.HIGHER,
            isthmus=Measure(value=events * share / took_s, samples=int(events * share)),
        ),
        Figure(
            name=f"a part of the removal, {name}",
            unit="ms",
            better=Better.LOWER,
            isthmus=Measure.of(pace.held_ms),
            # PostgreSQL's writers wait for rows, and nobody for these.
            budget=1000 * LIMIT_S / 2 if is_sqlite else None,
            budget_p99=1000 * LIMIT_S if is_sqlite else None,
        ),
        *(
            Figure(
                name=f"median page {when} the removal, {name}",
                unit="ms",
                better=Better.LOWER,
                isthmus=Measure(
                    value=statistics.median(pages.values()), samples=len(pages), details={"p99": slowest[when]}
                ),
            )
            for when, pages in (("before", before), ("after", after))
        ),
    ]


async def _snapshot_figure(at: Place) -> Figure:
    """Store large snapshots as the monitor does, and note how long each transaction holds SQLite's write lock."""
    held_ms: list[float] = []
    async with Database.open(at.database_url) as database:
        await database.migrate()
        for _ in range(_SNAPSHOTS):
            # No two are the same: a snapshot is stored once.
            for piece in _pieces(os.urandom(_SNAPSHOT_BYTES)):
                now = utc_now()
                async with database.write() as tx:
                    began = time.perf_counter()
                    await snapshot_pieces.keep(tx, piece, at=now)
                held_ms.append(1000 * (time.perf_counter() - began))
                await snapshot_pieces.complete(database, piece, at=now)
    return Figure(
        name="a piece of a snapshot of 20 MB stored, SQLite",
        unit="ms",
        better=Better.LOWER,
        isthmus=Measure.of(held_ms),
        budget=1000 * LIMIT_S,
    )


def _pieces(body: bytes) -> Iterator[Piece]:
    digest, starts = sha256(body).hexdigest(), range(0, len(body), PIECE_BYTES)
    for index, start in enumerate(starts):
        yield Piece(
            deployment="default",
            agent="lab",
            snapshot_hash=digest,
            index=index,
            count=len(starts),
            body=body[start : start + PIECE_BYTES],
        )
