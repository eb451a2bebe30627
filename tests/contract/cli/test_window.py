"""Tables in a terminal's window, and in a pipe."""

import asyncio
import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest
from contract.cli.conftest import Isthmus
from isthmus.v1.control_plane_pb2 import RunState
from isthmus.v1.telemetry_pb2 import LocationPhase, RunReason
from support.canned import CannedServer, a_location, a_run

RUN_ID = "0f6b3c1e-8c1e-4f43-a4a8-6f4f5f3c9d11"
WHY = (
    "step fetch_the_part: MissingPartError: there is no chain in the box, and no other box to look into for one either"
)


def in_window(words: list[str], *, width: int, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Run the command in a terminal and return the lines on its screen."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, "-m", "isthmus_cli", *words], dict(environment))
    written = b""
    try:
        while read := os.read(terminal, 65536):
            written += read
    except OSError:  # The other side closed it.
        pass
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return written.decode().replace("\r", "").splitlines()


@pytest.fixture
def failed(canned: CannedServer) -> CannedServer:
    run = a_run(RUN_ID, state=RunState.RUN_STATE_FAILED)
    run.reason, run.message = RunReason.RUN_REASON_USER_ERROR, WHY
    canned.plane.runs[RUN_ID] = run
    return canned


@pytest.mark.parametrize("width", [80, 120])
async def test_a_list_of_runs_fits_the_window(failed: CannedServer, tmp_path: Path, width: int) -> None:
    environment = {**os.environ, "ISTHMUS_SERVER": failed.address, "NO_COLOR": "1"}
    environment.pop("COLUMNS", None)
    lines = await asyncio.to_thread(in_window, ["run", "list"], width=width, folder=tmp_path, environment=environment)
    assert max(map(len, lines)) == width
    assert lines[1].startswith("0f6b3c1e  FAILED")
    assert "fetch_the_part: MissingPartErr" in lines[1]
    assert lines[1].endswith("…")


async def test_in_a_pipe_nothing_is_cut(failed: CannedServer, isthmus: Isthmus) -> None:
    outcome = await isthmus("run", "list", "--no-headers", environment={"COLUMNS": "80"})
    assert outcome.out.startswith(f"{RUN_ID}  FAILED")
    assert outcome.out.endswith(f"{WHY.removeprefix('step ')}\n")


async def test_a_list_of_locations_tells_why_one_does_not_load(canned: CannedServer, isthmus: Isthmus) -> None:
    broken = a_location("broken")
    broken.phase = LocationPhase.LOCATION_PHASE_FAILED
    report = broken.placements[0].report
    report.phase, report.serving_generation = LocationPhase.LOCATION_PHASE_FAILED, 2
    report.failure.error_class, report.failure.message = "ModuleNotFoundError", "No module named 'nope'\nmore"
    canned.plane.locations = {"broken": broken, "fine": a_location("fine")}
    outcome = await isthmus("location", "list")
    lines = outcome.out.splitlines()
    assert lines[1].endswith("ModuleNotFoundError: No module named 'nope' (generation 2 serves)")
    assert "SERVING" in lines[2]
