"""Duration: a chain of ten ops, and a hundred assets, from the call to the end of the run."""

import time
from collections.abc import Sequence

from benchmarks.figure import Better, Figure, Measure, Result
from benchmarks.option import Options
from benchmarks.peer.servers import DEFAULT, TUNED, Dagster, DagsterSetup, with_dagster
from benchmarks.stand import Servers, Stand, measured, place

#: Job, repetitions.
_JOBS = (("chain", 5), ("chain_in_process", 5), ("assets", 1), ("assets_in_process", 3))
_DEFAULT_JOBS = (("chain", 1), ("assets", 1))
_TUNED_JOBS = (("chain_forkserver", 1), ("chain_in_process", 2), ("assets_forkserver", 1), ("assets_in_process", 1))


def measure(servers: Servers, options: Options) -> Result:
    """Measure Isthmus with the default executor and in one process, then Dagster the same ways."""
    with place(servers) as at:
        ours = measured(_all_jobs, at=at)
    default = _peer(servers, options, setup=DEFAULT, jobs=_DEFAULT_JOBS)
    tuned = _peer(servers, options, setup=TUNED, jobs=_TUNED_JOBS)

    def figure(name: str, job: str, *, tuned_job: str, budget: float | None = None) -> Figure:
        return Figure(
            name=name,
            unit="s",
            better=Better.LOWER,
            isthmus=ours[job],
            dagster_tuned=tuned.get(tuned_job),
            dagster_default=default.get(job),
            budget=budget,
        )

    figures = (
        figure("chain of 10 ops, a process per step", "chain", tuned_job="chain_forkserver", budget=1),
        figure("100 assets, a process per step", "assets", tuned_job="assets_forkserver", budget=8),
        figure("chain of 10 ops, in process", "chain_in_process", tuned_job="chain_in_process"),
        figure("100 assets, in process", "assets_in_process", tuned_job="assets_in_process"),
    )
    note = "A process per step: Dagster's default executor, tuned with its forkserver. Dagster: once each."
    return Result(benchmark="job", figures=figures, notes=(note,))


async def _all_jobs(stand: Stand) -> dict[str, Measure]:
    await stand.finish(await stand.launch("chain_in_process"))
    return {job: Measure.of([await _duration(stand, job) for _ in range(count)]) for job, count in _JOBS}


async def _duration(stand: Stand, job: str) -> float:
    began = time.monotonic()
    await stand.finish(await stand.launch(job))
    return time.monotonic() - began


def _peer(
    servers: Servers, options: Options, *, setup: DagsterSetup, jobs: Sequence[tuple[str, int]]
) -> dict[str, Measure]:
    if not options.has_peer:
        return {}

    async def work(dagster: Dagster) -> dict[str, Measure]:
        await _peer_duration(dagster, "chain_in_process")
        return {job: Measure.of([await _peer_duration(dagster, job) for _ in range(count)]) for job, count in jobs}

    return with_dagster(work, servers=servers, setup=setup)


async def _peer_duration(dagster: Dagster, job: str) -> float:
    began = time.time()
    return await dagster.finish(await dagster.launch(job)) - began
