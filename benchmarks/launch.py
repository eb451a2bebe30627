"""Latency: from the call that launches a run to the first line of user code, one run after another."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from isthmus.v1.control_plane_pb2 import LaunchRunRequest

from benchmarks.figure import Better, Figure, Measure, Result, Station
from benchmarks.option import Options
from benchmarks.peer.servers import DEFAULT, TUNED, Dagster, DagsterSetup, with_dagster
from benchmarks.poll import read_stamp
from benchmarks.stand import LOCATION, RUN_TIMEOUT_S, Place, Servers, Stand, measured, place, stamp_config
from benchmarks.stations import from_files, from_history, read_notes, summarize

if TYPE_CHECKING:
    from pathlib import Path

#: Runs before the first that counts: connections, caches and pages warm up.
_WARM_UP = 5
_PEER_RUNS = 6
_STATION_RUNS = 40


@dataclass(frozen=True)
class Launched:
    """One run as its caller saw it: when it was called (seconds since 1970), and what happened how long after, ms."""

    run_id: str
    called_at: float
    accepted: float
    user_code: float
    end_told: float


def measure(servers: Servers, options: Options) -> Result:
    """Measure Isthmus on PostgreSQL and on SQLite, then Dagster tuned and with its defaults."""
    with place(servers) as at:
        quick, usual = measured(partial(_both_jobs, runs=options.runs), at=at)
    with place(servers, is_sqlite=True) as at:
        on_sqlite = measured(partial(_series, job="one_in_process", runs=options.scaled(50)), at=at)
    tuned = _peer(servers, options, setup=TUNED, job="one_in_process")
    default = _peer(servers, options, setup=DEFAULT, job="one")
    figures = (
        replace(
            _figure("call → user code", [one.user_code for one in quick]),
            budget=25,
            budget_p99=80,
            dagster_tuned=tuned,
        ),
        replace(
            _figure("call → user code, default executor", [one.user_code for one in usual]), dagster_default=default
        ),
        _figure("call → user code, on SQLite", [one.user_code for one in on_sqlite]),
        _figure("call → accepted", [one.accepted for one in quick]),
        _figure("call → caller told of the end", [one.end_told for one in quick]),
    )
    with place(servers) as at:
        stations = _stations(at, runs=options.scaled(_STATION_RUNS))
    return Result(benchmark="launch", figures=figures, stations=stations)


def _figure(name: str, values: Sequence[float]) -> Figure:
    return Figure(name=name, unit="ms", better=Better.LOWER, isthmus=Measure.of(values))


async def _both_jobs(stand: Stand, *, runs: int) -> tuple[list[Launched], list[Launched]]:
    quick = await _series(stand, job="one_in_process", runs=runs)
    return quick, await _series(stand, job="one", runs=max(1, runs // 4))


async def _series(stand: Stand, *, job: str, runs: int) -> list[Launched]:
    for _ in range(_WARM_UP):
        await _launch(stand, job)
    return [await _launch(stand, job) for _ in range(runs)]


async def _launch(stand: Stand, job: str) -> Launched:
    run_id = str(uuid.uuid4())
    stamp = stand.folder / f"{run_id}.stamp"
    request = LaunchRunRequest(
        location=LOCATION, job_name=job, run_id=run_id, run_config_json=stamp_config(stamp), deployment="default"
    )
    called_at = time.time()
    await stand.client.launch_run(request)
    accepted_at = time.time()
    async with asyncio.timeout(RUN_TIMEOUT_S):
        ran_at = await read_stamp(stamp)
    await stand.finish(run_id)
    told_at = time.time()
    after = [1000 * (at - called_at) for at in (accepted_at, ran_at, told_at)]
    return Launched(run_id, called_at, *after)


# -------------------------------------------------------------------------------------------------------- station by station


def _stations(at: Place, *, runs: int) -> tuple[Station, ...]:
    """Measure the way of a run, with a probe in the services: a little slower than the figures above."""
    probe = at.folder / "probe"

    async def work(stand: Stand) -> tuple[Station, ...]:
        launched = await _series(stand, job="one_in_process", runs=runs)
        notes = read_notes(probe)
        passages = []
        for one in launched:
            _, updates = await stand.operator.history(one.run_id)
            passages.append(
                {
                    **notes.get(one.run_id, {}),
                    **from_files(stand.folder, one.run_id),
                    **from_history([update.event for update in updates]),
                    "op body": one.called_at + one.user_code / 1000,
                    "watcher told": one.called_at + one.end_told / 1000,
                }
            )
        return summarize(passages, calls=[one.called_at for one in launched])

    return measured(work, at=at, probe=probe)


# ------------------------------------------------------------------------------------------------------------------ Dagster


def _peer(servers: Servers, options: Options, *, setup: DagsterSetup, job: str) -> Measure | None:
    if not options.has_peer:
        return None

    async def work(dagster: Dagster) -> list[float]:
        await _peer_launch(dagster, job)
        return [await _peer_launch(dagster, job) for _ in range(options.scaled(_PEER_RUNS))]

    return Measure.of(with_dagster(work, servers=servers, setup=setup))


async def _peer_launch(dagster: Dagster, job: str) -> float:
    stamp: Path = dagster.folder / f"{uuid.uuid4()}.stamp"
    called_at = time.time()
    run_id = await dagster.launch(job, stamp=stamp)
    async with asyncio.timeout(RUN_TIMEOUT_S):
        ran_at = await read_stamp(stamp)
    await dagster.finish(run_id)
    return 1000 * (ran_at - called_at)
