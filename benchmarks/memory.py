"""Memory: what each process takes while nothing happens, with one location and with ten."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from isthmus_store.database import Database

from benchmarks.figure import Better, Figure, Measure, Result
from benchmarks.machine import descendants
from benchmarks.option import Options
from benchmarks.peer.servers import DEFAULT, Dagster, with_dagster
from benchmarks.stand import LOCATION, Place, Servers, Stand, measured, place

_LOCATIONS = 10
_MIB = 1024**2
#: Seconds after the last location was loaded: heartbeats have gone out, pools are open.
_SETTLE_S = 6.0
_BUDGET_MIB = 80.0


def measure(servers: Servers, options: Options) -> Result:
    """Measure Isthmus's processes, then Dagster's."""
    with place(servers) as at:
        # As after an upgrade that is over: whoever changes the schema keeps what it needed for that in memory.
        asyncio.run(_migrate(at))
        ours = measured(_isthmus, at=at)
    theirs = with_dagster(_dagster, servers=servers, setup=DEFAULT) if options.has_peer else {}
    figures = (
        _figure("control plane", ours["control_plane"], budget=_BUDGET_MIB, peer=theirs.get("webserver")),
        _figure("monitor", ours["monitor"], budget=_BUDGET_MIB, peer=theirs.get("daemon")),
        _figure("agent, 1 location", ours["agent"]),
        _figure(f"agent, {_LOCATIONS} locations", ours["agent with ten"], budget=_BUDGET_MIB),
        _figure("code server, with all its processes", ours["code server"], peer=theirs.get("code server")),
        _figure(f"{_LOCATIONS} code servers", ours["ten code servers"]),
    )
    notes = (
        "RSS of services; PSS of code servers, which counts shared pages once. The schema was there before.",
        "Beside the control plane stands Dagster's webserver, beside the monitor its daemon.",
    )
    return Result(benchmark="memory", figures=figures, notes=notes)


def _figure(name: str, value: Measure, *, budget: float | None = None, peer: Measure | None = None) -> Figure:
    return Figure(name=name, unit="MiB", better=Better.LOWER, isthmus=value, budget=budget, dagster_default=peer)


async def _migrate(at: Place) -> None:
    async with Database.open(at.database_url) as database:
        await database.migrate()


async def _isthmus(stand: Stand) -> dict[str, Measure]:
    # Memory of a service that has worked, not of one that just started.
    for number in range(20):
        await stand.finish(await stand.launch("one_in_process", stamp=stand.folder / f"stamp-{number}"))
    await asyncio.sleep(_SETTLE_S)
    found = {name: _alone(service.process.pid) for name, service in stand.system.services.items() if service.process}
    found["code server"] = _shared(stand.system.code_server_pids())
    for number in range(1, _LOCATIONS):
        await stand.load(f"{LOCATION}-{number}")
    await asyncio.sleep(_SETTLE_S)
    agent = stand.system.services["agent"].process
    assert agent is not None
    return {**found, "agent with ten": _alone(agent.pid), "ten code servers": _shared(stand.system.code_server_pids())}


async def _dagster(dagster: Dagster) -> dict[str, Measure]:
    await dagster.finish(await dagster.launch("one", stamp=dagster.folder / "stamp"))
    await asyncio.sleep(_SETTLE_S)
    code_server = dagster.pids["code server"]
    services = {name: _alone(pid) for name, pid in dagster.pids.items() if pid != code_server}
    return {**services, "code server": _shared([code_server])}


def _alone(pid: int) -> Measure:
    sizes = _sizes(pid)
    return Measure(value=sizes["Rss"], details={"pss": sizes["Pss"]})


def _shared(roots: Iterable[int]) -> Measure:
    """The memory of processes with all below them: shared pages count once."""
    every = [_sizes(pid) for pid in {pid for root in roots for pid in descendants(root)}]
    return Measure(value=sum(one["Pss"] for one in every), details={"rss sum": sum(one["Rss"] for one in every)})


def _sizes(pid: int) -> dict[str, float]:
    """Return Rss and Pss, MiB; nothing for a process that is gone."""
    sizes = {"Rss": 0.0, "Pss": 0.0}
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return sizes
    for line in text.splitlines()[1:]:
        name, _, rest = line.partition(":")
        if name in sizes:
            sizes[name] = int(rest.split()[0]) * 1024 / _MIB
    return sizes
