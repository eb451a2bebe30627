"""The command behind `make bench`: measures what was asked for, shows it, and writes it down."""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import (
    age,
    assets,
    backfills,
    decisions,
    dedicated,
    first_day,
    head_of_line,
    job,
    launch,
    machine,
    memory,
    queue,
    schedules,
    sensors,
    table,
    telemetry,
    throughput,
)
from benchmarks.figure import Result
from benchmarks.option import RUNS, Options
from benchmarks.stand import Servers, servers

RESULTS = Path(__file__).resolve().parent / "results"

BENCHMARKS: Mapping[str, Callable[[Servers, Options], Result]] = {
    "launch": launch.measure,
    "throughput": throughput.measure,
    "job": job.measure,
    "dedicated": dedicated.measure,
    "queue": queue.measure,
    "decisions": decisions.measure,
    "schedules": schedules.measure,
    "sensors": sensors.measure,
    "assets": assets.measure,
    "backfills": backfills.measure,
    "head_of_line": head_of_line.measure,
    "telemetry": telemetry.measure,
    "memory": memory.measure,
    "age": age.measure,
    "first_day": first_day.measure,
}


@dataclass(frozen=True)
class _Order:
    names: tuple[str, ...]
    options: Options


def main() -> int:
    order = _order()
    # A job in the background ignores Ctrl-C, and so would the servers that are started here and stopped that way.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    machine.adopt_orphans()
    console = Console(width=None if sys.stdout.isatty() else 150)
    facts = machine.facts()
    console.print(" · ".join(f"{name} {value}" for name, value in facts.items()), end="\n\n")
    began = datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{began:%Y%m%dT%H%M%SZ}.json"
    documents: list[dict[str, Any]] = []
    with servers() as given:
        for name in order.names:
            given.loads.clear()
            result = BENCHMARKS[name](given, order.options)
            loads = list(given.loads)
            table.show(console, result, loads)
            documents.append(table.as_document(result, loads))
            # After each: what was measured is kept, also when a later one fails.
            path.write_text(json.dumps({"at": f"{began}", "machine": facts, "results": documents}, indent=2) + "\n")
    console.print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return 0


def _order() -> _Order:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", default=",".join(BENCHMARKS), help="names, divided by commas")
    parser.add_argument("--runs", type=int, default=RUNS, help="launches; what else is repeated follows it")
    parser.add_argument("--no-peer", action="store_true", help="leave Dagster's own servers out")
    given = parser.parse_args()
    names = tuple(name.strip() for name in given.only.split(","))
    if unknown := sorted(set(names) - BENCHMARKS.keys()):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if given.runs < 1:
        parser.error("at least one run has to be measured")
    return _Order(names, Options(runs=given.runs, has_peer=not given.no_peer))


if __name__ == "__main__":
    sys.exit(main())
