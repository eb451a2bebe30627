"""Head of line: what a burst of launches that have to wait costs the launch behind it, and a launch among old folders."""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus.v1.instruction_pb2 import CodeSource, Instruction
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_IMPORTING, RunRef
from isthmus_broker.instructions import InstructionPublisher
from isthmus_broker.publisher import Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_spool.attempt_folder import AttemptFolder, later_attempt
from isthmus_store.launch import MOST_ON_THE_WAY
from support.system import AGENT

from benchmarks.figure import Better, Figure, Measure, Result
from benchmarks.option import Options
from benchmarks.poll import read_stamp
from benchmarks.stand import LOCATION, RUN_TIMEOUT_S, Place, Servers, Stand, measured, place, stamp_config

_ROUNDS = 5
_ALONE = 20
_FOLDERS = 100_000
_LOOK_UPS = 2_000
#: What the design promises: of the burst, and of the look-up, milliseconds.
_BURST_BUDGET_MS = 50.0
_LOOK_UP_BUDGET_MS = 1.0
#: How long an instruction may wait, seconds.
_DEADLINE_S = 3600


def measure(servers: Servers, options: Options) -> Result:
    """Measure a launch alone, a launch directly behind a burst for a location that loads, and the look-up."""
    # However many are launched: the control plane lets the others wait in its queue.
    burst = options.scaled(MOST_ON_THE_WAY)
    with place(servers) as at:
        alone, behind = measured(lambda stand: _launches(stand, at=at, burst=burst), at=at)
    added = max(0.0, median(behind) - median(alone))
    figures = (
        _figure("launch at the agent → user code, alone", Measure.of(alone)),
        _figure(f"the same, directly behind {burst:,} that wait", Measure.of(behind)),
        _figure("what these cost it", Measure(value=added, samples=len(behind)), budget=_BURST_BUDGET_MS),
        _figure(f"look-up of later attempts, {_FOLDERS:,} folders", Measure.of(_look_ups()), budget=_LOOK_UP_BUDGET_MS),
    )
    notes = (
        f"Of a crowd of launches the agent is sent {MOST_ON_THE_WAY:,} at a time; the others wait in the queue.",
        "The agent stands still while the burst and the launch behind it are published, and is timed from when it goes on.",
        f"Each of the burst is for a location that imports; each round leaves {burst:,} more that wait.",
    )
    return Result(benchmark="head_of_line", figures=figures, notes=notes)


def _figure(name: str, isthmus: Measure, *, budget: float | None = None) -> Figure:
    return Figure(name=name, unit="ms", better=Better.LOWER, isthmus=isthmus, budget=budget)


async def _launches(stand: Stand, *, at: Place, burst: int) -> tuple[list[float], list[float]]:
    await _begin_to_load(stand)
    async with Publisher(BrokerSettings(at.broker_url)) as publisher:
        await publisher.wait_connected()
        instructions = InstructionPublisher(publisher)
        alone = [await _behind(stand, instructions, burst=0) for _ in range(_ALONE)]
        return alone, [await _behind(stand, instructions, burst=burst) for _ in range(_ROUNDS)]


async def _begin_to_load(stand: Stand) -> None:
    """Apply a location whose definitions take for ever."""
    file = stand.folder / "slow.py"
    file.write_text("import time\ntime.sleep(86_400)\n")
    await stand.client.apply_location(LocationSettings(name="slow", source=CodeSource(python_file=str(file))))
    async with asyncio.timeout(RUN_TIMEOUT_S):
        async for location in stand.client.watch_location("slow"):
            if location.phase == LOCATION_PHASE_IMPORTING:
                return


async def _behind(stand: Stand, instructions: InstructionPublisher, *, burst: int) -> float:
    """Launch a run behind so many others, all of which the agent finds at once; return the milliseconds to its user code."""
    stamp = stand.folder / f"{uuid.uuid4()}.stamp"
    async with _standing_still(stand):
        await asyncio.gather(*(instructions.publish(_launch("slow")) for _ in range(burst)))
        await instructions.publish(_launch(LOCATION, run_config_json=stamp_config(stamp)))
    went_on_at = time.time()
    async with asyncio.timeout(RUN_TIMEOUT_S):
        return 1000 * (await read_stamp(stamp) - went_on_at)


@asynccontextmanager
async def _standing_still(stand: Stand) -> AsyncIterator[None]:
    agent = stand.system.services["agent"].process
    assert agent is not None
    os.kill(agent.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(agent.pid, signal.SIGCONT)


def _launch(location: str, *, run_config_json: str = "") -> Instruction:
    message = Instruction(id=uuid.uuid4().hex, deployment="default", agent=AGENT)
    message.not_after.FromSeconds(int(time.time()) + _DEADLINE_S)
    request = message.launch_run.request
    request.run.CopyFrom(RunRef(run_id=str(uuid.uuid4()), attempt=1))
    request.location, request.job_name, request.run_config_json = location, "one_in_process", run_config_json
    return message


def _look_ups() -> Sequence[float]:
    with TemporaryDirectory(prefix="isthmus-bench-", ignore_cleanup_errors=True) as name:
        runs = Path(name)
        for _ in range(_FOLDERS):
            (runs / f"{uuid.uuid4()}.1").mkdir()
        took_ms = []
        for _ in range(_LOOK_UPS):
            folder = AttemptFolder.for_run(runs, RunRef(run_id=str(uuid.uuid4()), attempt=1))
            began = time.perf_counter()
            later_attempt(folder)
            took_ms.append(1000 * (time.perf_counter() - began))
        return took_ms
