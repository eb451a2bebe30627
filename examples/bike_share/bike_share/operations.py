"""Work that makes no assets: simulations, inspections, and a few things that go wrong."""

import os
import random
import tempfile
import time
from datetime import date
from enum import Enum
from pathlib import Path

from dagster import (
    Backoff,
    Config,
    DynamicOut,
    DynamicOutput,
    Failure,
    HookContext,
    In,
    MetadataValue,
    Nothing,
    OpExecutionContext,
    RetryPolicy,
    failure_hook,
    job,
    op,
    success_hook,
)
from pydantic import Field

from bike_share import source
from bike_share.warehouse import Warehouse

INSPECTION_S = 0.8


class Season(Enum):
    WINTER = "01-15"
    SPRING = "04-15"
    SUMMER = "07-15"


class SimulationConfig(Config):
    """What to simulate."""

    riders: int = Field(default=100, ge=1, le=5000, description="How many people take a bike.")
    season: Season = Field(default=Season.SPRING, description="Decides the weather.")
    note: str = Field(default="", description="Appears in the run's log.")


@op
def simulate(context: OpExecutionContext, config: SimulationConfig) -> float:
    """Rides for one made-up day."""
    trips = source.trips(date.fromisoformat(f"2026-{config.season.value}"), riders=config.riders)
    context.log.info("%s trips in %s. %s", len(trips), config.season.name.lower(), config.note)
    minutes = [trip.minutes for trip in trips if trip.minutes > 0]
    context.add_output_metadata({"trips": len(trips), "longest": MetadataValue.float(max(minutes))})
    return sum(minutes) / len(minutes)


@op
def judge(context: OpExecutionContext, mean_minutes: float) -> None:
    """Says whether people ride longer than they walk."""
    context.log.info("the mean trip takes %.1f minutes", mean_minutes)


@job(tags={"team": "analytics"})
def simulate_day() -> None:
    """Run config with defaults and limits."""
    judge(simulate())


@op(out=DynamicOut(str))
def list_districts() -> object:
    """One output for each district."""
    for district in source.DISTRICTS:
        yield DynamicOutput(district, mapping_key=district.lower().replace(" ", "_"))


@op
def count_district(context: OpExecutionContext, district: str) -> int:
    """Counts the docks of a district."""
    docks = sum(station.docks for station in source.stations() if station.district == district)
    context.log.info("%s has %s docks", district, docks)
    return docks


@op
def add_up(context: OpExecutionContext, counts: list[int]) -> int:
    """Adds the districts up."""
    context.log.info("%s docks in all", sum(counts))
    return sum(counts)


@job
def count_bikes() -> None:
    """Dynamic outputs, mapped and collected."""
    add_up(list_districts().map(count_district).collect())


@op(ins={"start": In(Nothing)})
def inspect_district(context: OpExecutionContext) -> int:
    """Looks at each dock of a district; it takes a while."""
    time.sleep(INSPECTION_S)
    broken = random.Random(context.op_handle.name).randrange(4)
    context.log.info("%s broken docks", broken)
    return broken


@op
def send_out() -> None:
    """Sends the inspectors out."""
    print("The inspectors leave.")


@op
def report_docks(context: OpExecutionContext, broken: list[int]) -> None:
    """Gathers what the inspectors found."""
    context.log.info("%s broken docks in all", sum(broken))


@job(tags={"team": "network"})
def inspect_docks() -> None:
    """Parallel branches that take a few seconds."""
    start = send_out()
    report_docks(
        [
            inspect_district.alias(f"inspect_{name.lower().replace(' ', '_')}")(start=start)
            for name in source.DISTRICTS[:4]
        ]
    )


class OperatorBusyError(Exception):
    """The operator did not answer."""


@success_hook
def note_success(context: HookContext) -> None:
    context.log.info("%s is done", context.op.name)


@failure_hook
def note_failure(context: HookContext) -> None:
    context.log.warning("%s failed: %s", context.op.name, context.op_exception)


@op(retry_policy=RetryPolicy(max_retries=2, delay=0.2, backoff=Backoff.EXPONENTIAL))
def call_operator(context: OpExecutionContext) -> str:
    """Nobody answers at first; a file remembers that somebody has called before."""
    first_call = Path(tempfile.gettempdir()) / f"bike-share-call-{context.run_id}"
    if not first_call.exists():
        first_call.touch()
        raise OperatorBusyError("nobody answers")
    first_call.unlink()
    return "all bikes are fine"


@job(hooks={note_success, note_failure})
def ask_operator() -> None:
    """An op that fails once and succeeds on its retry."""
    call_operator()


class MissingPartError(Exception):
    """The workshop lacks a part."""


@op
def fetch_part(part: str = "chain") -> str:
    """Looks for a part in an empty box."""
    box: dict[str, str] = {}
    try:
        return box[part]
    except KeyError as exc:
        raise MissingPartError(f"there is no {part} in the box") from exc


@op
def mend(context: OpExecutionContext, part: str) -> None:
    """Is never reached."""
    context.log.info("mended with a new %s", part)


@job
def repair_bike() -> None:
    """A failure with its causes."""
    mend(fetch_part())


class FileConfig(Config):
    """Which file to import."""

    path: str = Field(description="A text file with one remark of a rider on each line.")


@op
def import_remarks(context: OpExecutionContext, config: FileConfig, warehouse: Warehouse) -> int:
    """Reads riders' remarks into the warehouse."""
    path = Path(config.path)
    if not path.is_file():
        raise Failure(f"{path} is not there.", metadata={"path": MetadataValue.path(path)}, allow_retries=False)
    remarks = [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    rows = [(path.name, remark) for remark in remarks]
    name = path.name.replace("'", "''")
    warehouse.replace("remarks", columns="file TEXT, remark TEXT", rows=rows, where=f"file = '{name}'")
    context.log.info("%s remarks from %s", len(rows), os.fspath(path))
    return len(rows)


@job
def import_file() -> None:
    """Imports one file of the inbox."""
    import_remarks()
