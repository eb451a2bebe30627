"""Throughput: many runs of one op, launched at once, until the last has ended."""

import asyncio
import time
import uuid
from functools import partial

from benchmarks import machine
from benchmarks.figure import Better, Figure, Measure, Result
from benchmarks.option import Options
from benchmarks.peer.servers import DEFAULT, TUNED, Dagster, DagsterSetup, with_dagster
from benchmarks.stand import Servers, Stand, measured, place

_RUNS = 200
_PEER_RUNS = 12
#: Launches under way at once: a caller's own limit, the same for all.
_AT_ONCE = 10


def measure(servers: Servers, options: Options) -> Result:
    """Measure Isthmus on PostgreSQL and on SQLite, then Dagster tuned and with its defaults."""
    burst = partial(_burst, runs=options.scaled(_RUNS))
    with place(servers) as at:
        rate = measured(burst, at=at)
    with place(servers, is_sqlite=True) as at:
        rate_on_sqlite = measured(burst, at=at)
    figures = (
        Figure(
            name="one-op runs to completion",
            unit="runs/s",
            better=Better.HIGHER,
            isthmus=rate,
            dagster_tuned=_peer(servers, options, setup=TUNED, job="one_in_process"),
            dagster_default=_peer(servers, options, setup=DEFAULT, job="one"),
            budget=30,
        ),
        Figure(name="the same, on SQLite", unit="runs/s", better=Better.HIGHER, isthmus=rate_on_sqlite),
    )
    split = ", ".join(f"{name.rpartition(': ')[2]} {value:.1f}" for name, value in rate.details.items())
    notes = (f"CPU ms per run on PostgreSQL: {split}.", f"Dagster: a burst of {options.scaled(_PEER_RUNS)} runs.")
    return Result(benchmark="throughput", figures=figures, notes=notes)


async def _burst(stand: Stand, *, runs: int) -> Measure:
    job = "one_in_process"
    for number in range(5):
        await stand.finish(await stand.launch(job, stamp=stand.folder / f"warm-{number}"))
    limit = asyncio.Semaphore(_AT_ONCE)

    async def launch(number: int) -> str:
        async with limit:
            return await stand.launch(job, stamp=stand.folder / f"burst-{number}")

    parts = _Parts(stand)
    before, began = parts.cpu_s(), time.monotonic()
    ids = await asyncio.gather(*(launch(number) for number in range(runs)))
    # In the order of launching, so that whoever waits costs little: the last of them ends about when all have.
    for run_id in ids:
        await stand.finish(run_id)
    took_s = time.monotonic() - began
    spent = {f"CPU ms per run: {name}": 1000 * (now - before[name]) / runs for name, now in parts.cpu_s().items()}
    return Measure(value=runs / took_s, samples=runs, details=spent)


class _Parts:
    """The processes among which the CPU time of a run is divided."""

    def __init__(self, stand: Stand) -> None:
        services = stand.system.services.values()
        self._services = {one.name: one.process.pid for one in services if one.process is not None}
        self._code_servers = stand.system.code_server_pids()

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds of each since its start."""
        spent = {name: machine.cpu_s([pid]) for name, pid in self._services.items()}
        spent["code server and runs"] = machine.cpu_s(self._code_servers)
        # It is their parent.
        spent["agent"] -= spent["code server and runs"]
        spent["RabbitMQ"] = machine.cpu_s(machine.named("beam.smp"))
        spent["PostgreSQL"] = machine.cpu_s(machine.named("postgres"))
        spent["caller"] = time.process_time()
        return spent


def _peer(servers: Servers, options: Options, *, setup: DagsterSetup, job: str) -> Measure | None:
    if not options.has_peer:
        return None
    runs = max(2, options.scaled(_PEER_RUNS))

    async def work(dagster: Dagster) -> Measure:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def launch() -> str:
            async with limit:
                return await dagster.launch(job, stamp=dagster.folder / f"{uuid.uuid4()}.stamp")

        await dagster.finish(await launch())
        began = time.time()
        ids = await asyncio.gather(*(launch() for _ in range(runs)))
        ended = [await dagster.finish(run_id) for run_id in ids]
        return Measure(value=runs / (max(ended) - began), samples=runs)

    return with_dagster(work, servers=servers, setup=setup)
