"""The command behind `make soak`: lives a year, takes stock each month, and compares the last one with the first."""

import argparse
import asyncio
import logging
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from isthmus_store.database import Database
from rich.console import Console
from rich.table import Table
from support.postgres import private_postgres

from soak.plan import MONTH, Plan
from soak.year import Stock, Year

#: How much larger the last month may end than the first one.
_MARGIN = 1.15
#: What may be more by a few, whatever the margin.
_FEW = 64


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--runs-a-day", type=int, default=400, help="a busy team has 5000")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--postgresql", action="store_true", help="instead of SQLite")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    plan = Plan(days=given.days, runs_a_day=given.runs_a_day)
    with _place(is_postgresql=given.postgresql) as (url, file):
        return asyncio.run(_live(plan, url, file))


@contextmanager
def _place(*, is_postgresql: bool) -> Iterator[tuple[str, Path | None]]:
    if is_postgresql:
        with private_postgres() as server:
            yield server.create_database(), None
        return
    with tempfile.TemporaryDirectory(prefix="isthmus-soak-") as folder:
        file = Path(folder) / "isthmus.db"
        yield f"sqlite:///{file}", file


async def _live(plan: Plan, url: str, file: Path | None) -> int:
    console = Console(width=None if sys.stdout.isatty() else 140)
    stocks: list[Stock] = []
    began = time.monotonic()
    async with Database.open(url) as database:
        await database.migrate()
        year = Year(plan, database, file=file)
        await year.begin()
        while year.day < plan.days:
            await year.live(min(MONTH, plan.days - year.day))
            stocks.append(await year.stock(calls=5))
            took_s = time.monotonic() - began
            console.print(
                f"day {year.day}: {year.run_number} runs, {year.events} events, {took_s:.0f} s;"
                f" {stocks[-1].file_bytes / 1e6:.0f} MB of database, {stocks[-1].memory_bytes / 1e6:.0f} MB of memory",
                soft_wrap=True,
            )
    _show(console, stocks)
    took_s = time.monotonic() - began
    cpu_s = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    console.print(f"{year.run_number} runs and {year.events} events in {took_s:.0f} s ({cpu_s:.0f} s of processor)")
    grown = grown_beyond(stocks[0], stocks[-1])
    for line in grown:
        console.print(f"[red]{line}[/]")
    return 1 if grown else 0


def grown_beyond(first: Stock, last: Stock) -> list[str]:
    """Return what became more than it may have become."""
    pairs = {**{name: (size, last.tables[name]) for name, size in first.tables.items()}}
    pairs |= {
        "file": (first.file_bytes, last.file_bytes),
        "memory": (first.memory_bytes, last.memory_bytes),
        "descriptors": (first.descriptors, last.descriptors),
        "tasks": (first.tasks, last.tasks),
    }
    return [
        f"{name} grew from {before} to {after}"
        for name, (before, after) in pairs.items()
        if after > before * _MARGIN + _FEW
    ]


def _show(console: Console, stocks: list[Stock]) -> None:
    first, middle, last = stocks[0], stocks[len(stocks) // 2], stocks[-1]
    table = Table(title="what there is at the end of", title_justify="left")
    table.add_column("what")
    for it in (first, middle, last):
        table.add_column(f"day {it.day}", justify="right")

    def row(name: str, *values: object) -> None:
        table.add_row(name, *(str(value) for value in values))

    for name in first.tables:
        row(name, *(it.tables[name] for it in (first, middle, last)))
    row("database, MB", *(f"{it.file_bytes / 1e6:.1f}" for it in (first, middle, last)))
    row("memory of the process, MB", *(f"{it.memory_bytes / 1e6:.1f}" for it in (first, middle, last)))
    row("open files", *(it.descriptors for it in (first, middle, last)))
    row("tasks", *(it.tasks for it in (first, middle, last)))
    row("parts removed that month", *(it.parts for it in (first, middle, last)))
    row("of them over 20 ms", *(it.late for it in (first, middle, last)))
    row("longest part, ms", *(f"{1000 * it.longest_s:.1f}" for it in (first, middle, last)))
    for name in first.pages_ms:
        row(f"page: {name}, ms", *(f"{it.pages_ms[name]:.2f}" for it in (first, middle, last)))
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
