"""Where the time of a launch goes: the way of a run, station by station."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from isthmus.v1.telemetry_pb2 import Event

from benchmarks.figure import Station, quantile

#: The stations on the way, in the order in which a run passes them.
WAY = (
    "call arrived",
    "committed",
    "confirmed by the broker",
    "consumed by the agent",
    "StartRun sent",
    "child at work",
    "run started",
    "op body",
    "run succeeded",
    "terminal event stored",
    "watcher told",
)

#: Seconds since 1970, by station.
Passage = Mapping[str, float]


def read_notes(probe: Path) -> dict[str, dict[str, float]]:
    """Return what the probe noted, by run; of stations passed more than once, the last time."""
    notes: dict[str, dict[str, float]] = {}
    for line in probe.read_text().splitlines():
        run_id, station, at = line.split("\t")
        notes.setdefault(run_id, {})[station] = float(at)
    return notes


def from_files(folder: Path, run_id: str) -> dict[str, float]:
    """Return what the times of an attempt's files tell of its code server, to the kernel's tick of some milliseconds."""
    attempts = list(folder.rglob(f"{run_id}.1"))
    if not attempts:
        return {}
    return {"child at work": (attempts[0] / "stdout").stat().st_mtime}


def from_history(events: Sequence[Event]) -> dict[str, float]:
    """Return what the run's own events tell."""
    marks = {"run_started": "run started", "run_succeeded": "run succeeded"}
    told = {}
    for event in events:
        kind = event.WhichOneof("body")
        if kind in marks:
            told[marks[kind]] = event.occurred_at.ToNanoseconds() / 1e9
    return told


def summarize(passages: Sequence[Passage], *, calls: Sequence[float]) -> tuple[Station, ...]:
    """Return the median way. Stations that some run was not seen at are left out."""
    seen = [name for name in WAY if all(name in passage for passage in passages)]
    found: list[Station] = []
    before = list(calls)
    for name in seen:
        at = [passage[name] for passage in passages]
        since_call = [1000 * (time - call) for time, call in zip(at, calls, strict=True)]
        took = [1000 * (time - last) for time, last in zip(at, before, strict=True)]
        found.append(
            Station(name=name, at_p50=median(since_call), at_p99=quantile(since_call, 0.99), took_p50=median(took))
        )
        before = at
    return tuple(found)
