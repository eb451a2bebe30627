"""Backfills: how soon the runs of many partitions are queued, and how soon very many are looked ahead at."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from google.protobuf.timestamp_pb2 import Timestamp
from integration.control_plane_stand import Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2 as pb
from support.eventually import eventually

from benchmarks import machine
from benchmarks.figure import Better, Figure, Measure, Result
from benchmarks.option import Options
from benchmarks.stand import Place, Servers, place

_QUEUED, _SHOWN = 1_000, 100_000
_ASSET = pb.AssetKey(path=["hourly"])
_TIMES = 3


def measure(servers: Servers, options: Options) -> Result:
    """Measure on both databases."""
    figures: list[Figure] = []
    queued, shown = options.scaled(_QUEUED), options.scaled(_SHOWN)
    figure = partial(Figure, unit="s", better=Better.LOWER)
    for name, is_sqlite in (("PostgreSQL", False), ("SQLite", True)):
        with place(servers, is_sqlite=is_sqlite) as at, machine.watched(at.loads, system="Isthmus"):
            made, looked = asyncio.run(_both(at, queued=queued, shown=shown))
        figures.append(figure(name=f"{queued:,} partitions queued, {name}", isthmus=made, budget=5.0))
        figures.append(figure(name=f"{shown:,} partitions looked ahead at, {name}", isthmus=looked, budget=2.0))
    notes = (
        "Queued: from the call to the last of the runs, each of one partition of one asset.",
        "Dagster's daemon takes 0.28 CPU-s a run, one after another: 280 s for 1,000 on a quiet core.",
    )
    return Result(benchmark="backfills", figures=tuple(figures), notes=notes)


async def _both(at: Place, *, queued: int, shown: int) -> tuple[Measure, Measure]:
    async with _standing(at, hours=shown) as stand:
        whole = api.CreateBackfillRequest(asset_selection=[_ASSET], is_all=True)
        preview: api.BackfillPreview = await stand.stub.PreviewBackfill(whole)
        looked = [await _looked(stand, whole) for _ in range(_TIMES)]
        first = preview.first_runs[0].partitions.first
        last = _key(datetime.strptime(first, _FORM).replace(tzinfo=UTC) + timedelta(hours=queued - 1))
        part = pb.PartitionRange(first=first, last=last)
        made = [await _made(stand, api.CreateBackfillRequest(asset_selection=[_ASSET], ranges=[part]), count=queued)]
    return Measure.of(made), Measure.of(looked)


async def _looked(stand: Stand, request: api.CreateBackfillRequest) -> float:
    began_at = time.perf_counter()
    await stand.stub.PreviewBackfill(request)
    return time.perf_counter() - began_at


async def _made(stand: Stand, request: api.CreateBackfillRequest, *, count: int) -> float:
    began_at = time.perf_counter()
    made: api.Backfill = await stand.stub.CreateBackfill(request)
    ref = api.BackfillRef(backfill_id=made.backfill_id)

    async def is_queued() -> bool:
        found: api.BackfillDetail = await stand.stub.GetBackfill(ref)
        return found.backfill.progress.under_way == count

    await eventually(is_queued, within=120, every=0.02)
    return time.perf_counter() - began_at


_FORM = "%Y-%m-%d-%H:%M"


def _key(at: datetime) -> str:
    return at.strftime(_FORM)


@asynccontextmanager
async def _standing(at: Place, *, hours: int) -> AsyncIterator[Stand]:
    start = Timestamp()
    start.FromDatetime(datetime.now(UTC) - timedelta(hours=hours))
    windows = pb.PartitionsSnapshot(
        kind="time_window", cron_schedule="0 * * * *", start=start, timezone="UTC", format=_FORM
    )
    asset = pb.AssetSnapshot(key=_ASSET, is_executable=True, is_materializable=True, partitions=windows)
    job = pb.JobSnapshot(name="__ASSET_JOB", is_implicit_asset_job=True, assets=[_ASSET])
    async with control_plane(at.broker_url, at.database_url, sweep_interval_s=2.0) as stand:
        stand.snapshot = pb.LocationSnapshot(jobs=[job], assets=[asset])
        await stand.serve()
        yield stand
