"""Shows results in the terminal."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figure import Figure, Measure, Result
from benchmarks.machine import Load, is_fair


def as_document(result: Result, loads: list[Load]) -> dict[str, Any]:
    """Return a result as what JSON can hold."""
    figures = [
        {
            **asdict(figure),
            "better": figure.better.value,
            "is_within_budget": figure.is_within_budget,
            "times_better_than_tuned": figure.times_better(figure.dagster_tuned),
            "times_better_than_default": figure.times_better(figure.dagster_default),
        }
        for figure in result.figures
    ]
    return {**asdict(result), "figures": figures, "loads": [asdict(load) for load in loads], "is_fair": is_fair(loads)}


def show(console: Console, result: Result, loads: list[Load]) -> None:
    """Print a result's tables."""
    table = Table(title=f"[bold]{result.benchmark}[/]", title_justify="left")
    table.add_column("what")
    for name in ("Isthmus", "Dagster tuned", "times", "Dagster default", "times", "budget"):
        table.add_column(name, justify="right")
    for figure in result.figures:
        table.add_row(
            f"{figure.name}, {figure.unit}",
            _with_p99(figure.isthmus),
            *_beside(figure, figure.dagster_tuned),
            *_beside(figure, figure.dagster_default),
            _budget(figure),
        )
    console.print(table)
    if result.stations:
        console.print(_stations(result))
    for line in (*result.notes, _load_line(loads)):
        console.print(f"[dim]{line}[/]")
    if not is_fair(loads):
        console.print("[red]Others kept the machine busy, and not all the same: do not trust the ratios.[/]")
    console.print()


def _stations(result: Result) -> Table:
    table = Table(title="the way of a run, ms after the call", title_justify="left")
    table.add_column("station")
    for name in ("p50", "p99", "since the station before, p50"):
        table.add_column(name, justify="right")
    for one in result.stations:
        table.add_row(one.name, _number(one.at_p50), _number(one.at_p99), f"+{_number(one.took_p50)}")
    return table


def _beside(figure: Figure, peer: Measure | None) -> tuple[str, str]:
    times = figure.times_better(peer)
    if peer is None or times is None:
        return "", ""
    return f"{_number(peer.value)} [dim](n={peer.samples})[/]", f"[bold]{_number(times)}[/]"


def _with_p99(measure: Measure) -> str:
    tail = measure.details.get("p99")
    is_series = tail is not None and measure.samples > 1
    return (
        f"{_number(measure.value)} [dim](p99 {_number(tail)}, n={measure.samples})[/]"
        if is_series and tail is not None
        else _number(measure.value)
    )


def _budget(figure: Figure) -> str:
    if figure.budget is None:
        return ""
    tail = f", p99 {_number(figure.budget_p99)}" if figure.budget_p99 is not None else ""
    color = "green" if figure.is_within_budget else "red"
    return f"[{color}]{_number(figure.budget)}{tail}[/]"


def _load_line(loads: list[Load]) -> str:
    parts = (f"{load.system} {load.wall_s:.0f} s beside {load.foreign_cores:.1f}" for load in loads)
    return f"Measured beside so many cores of foreign load: {', '.join(parts)}."


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
