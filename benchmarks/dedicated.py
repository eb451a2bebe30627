"""Runs in containers of their own, taken from standby or started for them, beside Dagster's launcher of containers."""

import asyncio
import time
import uuid
from dataclasses import dataclass, replace

from isthmus.v1.control_plane_pb2 import LaunchRunRequest, LocationSettings
from isthmus.v1.instruction_pb2 import (
    ISOLATION_DEDICATED,
    CodeSource,
    ContainerMount,
    ContainerSpec,
)
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_SERVING
from support.docker import docker, remove_containers
from support.system import AGENT

from benchmarks import machine
from benchmarks.container import image
from benchmarks.figure import Better, Figure, Measure, Result
from benchmarks.option import Options
from benchmarks.peer.servers import TUNED, Dagster, DagsterSetup, with_dagster
from benchmarks.poll import poll, read_stamp
from benchmarks.stand import LOCATION, PROJECT, RUN_TIMEOUT_S, Place, Servers, Stand, place, running, stamp_config

_JOB = "one_in_process"
_RUNS = 40
_COLD_RUNS = 12
_BURST = 24
_PEER_RUNS = 6
_PEER_BURST = 12
#: Launches under way at once: a caller's own limit, the same for all.
_AT_ONCE = 10
_PEER_LABEL = "isthmus-bench=peer"
_OWN_LABEL = "isthmus.agent=agent-one"
_POLL_S = 0.05
#: Between two signs of life of the agent, seconds.
_HEARTBEAT_S = 0.5
#: Longest wait for standbys to be loaded, seconds.
_FILL_TIMEOUT_S = 120.0
_IMPORT = "import definitions, sys, time; open(sys.argv[1], 'w').write(repr(time.time()))"


@dataclass(frozen=True)
class _Ours:
    """What was measured of Isthmus."""

    warm: Measure
    cold: Measure
    floor: Measure
    rate: Measure
    rate_with_standby: Measure


def measure(servers: Servers, options: Options) -> Result:
    """Measure Isthmus with and without standby, then Dagster's launcher on the same image and engine."""
    name = image.build()
    with place(servers) as at:
        ours = asyncio.run(_isthmus(at, options, name=name))
    latency, rate = _peer(servers, options, name=name) if options.has_peer else (None, None)
    limit = 1.3 * ours.floor.value
    figures = (
        Figure(
            name="call → user code, from standby",
            unit="ms",
            better=Better.LOWER,
            isthmus=ours.warm,
            dagster_tuned=latency,
            budget=30,
            budget_p99=100,
        ),
        Figure(
            name="call → user code, cold",
            unit="ms",
            better=Better.LOWER,
            isthmus=ours.cold,
            dagster_tuned=latency,
            budget=limit,
        ),
        Figure(name="container start and import, nothing else", unit="ms", better=Better.LOWER, isthmus=ours.floor),
        Figure(
            name="one-op runs to completion, cold",
            unit="runs/s",
            better=Better.HIGHER,
            isthmus=ours.rate,
            dagster_tuned=rate,
            budget=1.6,
        ),
        Figure(
            name="the same, 2 on standby",
            unit="runs/s",
            better=Better.HIGHER,
            isthmus=ours.rate_with_standby,
            dagster_tuned=rate,
            budget=1.6,
        ),
    )
    notes = (
        "Each run in a container of its own, on the host's network. Budget of a cold start: 1.3 times the third line.",
        "What the engine and its containers take counts as foreign load here: they are no children of ours.",
    )
    return Result(benchmark="dedicated", figures=figures, notes=notes)


# ------------------------------------------------------------------------------------------------------------------ Isthmus


async def _isthmus(at: Place, options: Options, *, name: str) -> _Ours:
    policy = at.folder / "policy.toml"
    policy.write_text(f'mounts = ["{at.folder}/stamps"]\n')
    environment = {
        "ISTHMUS_AGENT_HOST": "docker",
        "ISTHMUS_AGENT_NETWORK": "host",
        "ISTHMUS_AGENT_POLICY_FILE": str(policy),
        "ISTHMUS_AGENT_HEARTBEAT_S": str(_HEARTBEAT_S),
    }
    try:
        async with running(at, agent_environment=environment) as stand:
            with machine.watched(at.loads, system="Isthmus"):
                return await _all(stand, options, name=name)
    finally:
        remove_containers(label=_OWN_LABEL)


async def _all(stand: Stand, options: Options, *, name: str) -> _Ours:
    stamps = stand.folder / "stamps"
    stamps.mkdir(mode=0o777)
    stamps.chmod(0o777)
    stand = replace(stand, folder=stamps)
    await _apply(stand, name=name, standby=1)
    warm = [await _launch(stand, standby=1) for _ in range(options.scaled(_RUNS))]
    await _apply(stand, name=name, standby=2)
    await _wait_standby(stand, 2)
    rate_with_standby = await _burst(stand, runs=options.scaled(_BURST))
    await _apply(stand, name=name, standby=0)
    cold, floor = [], []
    for _ in range(options.scaled(_COLD_RUNS)):
        # By turns, so that what else the machine does is done to both.
        await _wait_gone()
        cold.append(await _launch(stand, standby=0))
        await _wait_gone()
        floor.append(await _floor(stand, name=name))
    rate = await _burst(stand, runs=options.scaled(_BURST))
    return _Ours(Measure.of(warm), Measure.of(cold), Measure.of(floor), rate, rate_with_standby)


async def _apply(stand: Stand, *, name: str, standby: int) -> None:
    settings = LocationSettings(
        name=LOCATION,
        source=CodeSource(module="definitions"),
        container=ContainerSpec(
            image=name, mounts=[ContainerMount(source=str(stand.folder), target=str(stand.folder))]
        ),
        isolation=ISOLATION_DEDICATED,
        standby=standby,
    )
    applied = await stand.client.apply_location(settings)
    async for location in stand.client.watch_location(LOCATION):
        reports = [one.report for one in location.placements]
        if any(one.generation == applied.generation and one.phase == LOCATION_PHASE_SERVING for one in reports):
            return


async def _wait_standby(stand: Stand, count: int) -> None:
    """Wait until a heartbeat from now on says that they wait."""
    since = time.time()

    async def is_there() -> bool:
        agent = await stand.client.get_agent(AGENT)
        if agent.last_heard_at.ToNanoseconds() / 1e9 < since + _HEARTBEAT_S:
            return False
        location = await stand.client.get_location(LOCATION)
        return any(one.standby.ready == count == one.standby.wanted for one in location.placements)

    async with asyncio.timeout(_FILL_TIMEOUT_S):
        await poll(is_there, every_s=_POLL_S)


async def _wait_gone() -> None:
    """Wait until the location's shared server is the only container that is left: what ends takes the processors, too."""

    async def is_gone() -> bool:
        left = await asyncio.to_thread(docker, "ps", "--all", "--quiet", "--filter", f"label={_OWN_LABEL}")
        return len(left.split()) == 1

    async with asyncio.timeout(_FILL_TIMEOUT_S):
        await poll(is_gone, every_s=_POLL_S)


async def _launch(stand: Stand, *, standby: int) -> float:
    """Return the time from the call to the first line of user code, ms."""
    if standby:
        await _wait_standby(stand, standby)
    run_id = str(uuid.uuid4())
    stamp = stand.folder / run_id
    request = LaunchRunRequest(location=LOCATION, job_name=_JOB, run_id=run_id, run_config_json=stamp_config(stamp))
    called_at = time.time()
    await stand.client.launch_run(request)
    async with asyncio.timeout(RUN_TIMEOUT_S):
        ran_at = await read_stamp(stamp)
    await stand.finish(run_id)
    return 1000 * (ran_at - called_at)


async def _floor(stand: Stand, *, name: str) -> float:
    """Return how long the engine takes to start a container in which the project is imported, ms."""
    stamp = stand.folder / str(uuid.uuid4())
    began = time.time()
    await asyncio.to_thread(
        docker,
        *("run", "--rm", "--network", "host", "--volume", f"{stand.folder}:{stand.folder}"),
        *(name, "python", "-c", _IMPORT, str(stamp)),
    )
    return 1000 * (await read_stamp(stamp) - began)


async def _burst(stand: Stand, *, runs: int) -> Measure:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def launch(number: int) -> str:
        async with limit:
            return await stand.launch(_JOB, stamp=stand.folder / f"burst-{number}-{uuid.uuid4()}")

    began = time.monotonic()
    for run_id in await asyncio.gather(*(launch(number) for number in range(runs))):
        await stand.finish(run_id)
    return Measure(value=runs / (time.monotonic() - began), samples=runs)


# ------------------------------------------------------------------------------------------------------------------ Dagster


def _peer(servers: Servers, options: Options, *, name: str) -> tuple[Measure, Measure]:
    setup = DagsterSetup("DockerRunLauncher", TUNED.settings + _launcher(name), has_daemon=False)

    async def work(dagster: Dagster) -> tuple[Measure, Measure]:
        await _peer_launch(dagster)
        latencies = [await _peer_launch(dagster) for _ in range(options.scaled(_PEER_RUNS))]
        return Measure.of(latencies), await _peer_burst(dagster, runs=options.scaled(_PEER_BURST))

    try:
        return with_dagster(work, servers=servers, setup=setup)
    finally:
        remove_containers(label=_PEER_LABEL)


def _launcher(name: str) -> str:
    key, _, value = _PEER_LABEL.partition("=")
    return (
        "run_launcher:\n  module: dagster_docker\n  class: DockerRunLauncher\n  config:\n"
        f"    image: {name}\n    network: host\n    container_kwargs:\n      user: root\n"
        f"      labels: {{{key}: {value}}}\n      volumes: ['<home>:<home>', '{PROJECT}:{PROJECT}:ro']\n"
    )


async def _peer_launch(dagster: Dagster) -> float:
    stamp = dagster.folder / f"{uuid.uuid4()}.stamp"
    called_at = time.time()
    run_id = await dagster.launch(_JOB, stamp=stamp)
    async with asyncio.timeout(RUN_TIMEOUT_S):
        ran_at = await read_stamp(stamp)
    await dagster.finish(run_id)
    return 1000 * (ran_at - called_at)


async def _peer_burst(dagster: Dagster, *, runs: int) -> Measure:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def launch() -> str:
        async with limit:
            return await dagster.launch(_JOB, stamp=dagster.folder / f"{uuid.uuid4()}.stamp")

    began = time.time()
    ids = await asyncio.gather(*(launch() for _ in range(runs)))
    ended = [await dagster.finish(run_id) for run_id in ids]
    return Measure(value=runs / (max(ended) - began), samples=runs)
