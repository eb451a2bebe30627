"""Ctrl-C ends a command that waits, whenever it comes."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from isthmus.v1.control_plane_pb2 import RunUpdate
from isthmus.v1.telemetry_pb2 import Event, StepStarted, StepSucceeded
from support.canned import CannedServer


async def test_ctrl_c_leaves_the_run_and_tells_how_to_come_back(canned: CannedServer, tmp_path: Path) -> None:
    canned.plane.updates = [
        RunUpdate(position=1, event=Event(step_key="load", step_started=StepStarted())),
        RunUpdate(position=2, event=Event(step_key="load", step_succeeded=StepSucceeded(duration_s=0.25))),
    ]
    canned.plane.hold = asyncio.Event()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isthmus_cli", "run", "watch", "r1", "--server", canned.address),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    while "✓ load" not in (await process.stdout.readline()).decode():
        pass
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert "isthmus run watch r1" in err.decode()
    assert "Traceback" not in err.decode()
    assert [type(message).__name__ for message in canned.plane.asked] == ["FindRunRequest", "WatchRunRequest"]
    canned.plane.hold.set()


_INTERRUPTED = """
import asyncio, signal, threading
from isthmus_cli.session import run_to_end

async def wait():
    threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT)).start()
    await asyncio.Event().wait()

try:
    run_to_end(wait())
except KeyboardInterrupt:
    print("interrupted")
"""


async def test_ctrl_c_is_heard_whichever_thread_it_comes_to() -> None:
    command = (sys.executable, "-c", _INTERRUPTED)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out == b"interrupted\n"


_INTERRUPTED_TWICE = """
import asyncio, os, signal
from isthmus_cli.session import run_to_end

def ctrl_c():
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)

async def wait():
    ctrl_c()
    try:
        await asyncio.Event().wait()
    finally:
        ctrl_c()
        await asyncio.Event().wait()

try:
    run_to_end(wait())
except KeyboardInterrupt:
    print("interrupted")
"""


async def test_a_second_ctrl_c_ends_a_command_that_is_still_tidying_up() -> None:
    command = (sys.executable, "-c", _INTERRUPTED_TWICE)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    assert await process.communicate() == (b"interrupted\n", b"")


_INTERRUPTED_WHILE_IMPORTING = """
import os, runpy, signal, sys

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == "isthmus_dev.options":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, CtrlC())
runpy.run_module("isthmus_dev", run_name="__main__")
"""


def test_ctrl_c_while_isthmus_dev_is_imported_prints_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _INTERRUPTED_WHILE_IMPORTING]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert (told.returncode, told.stdout, told.stderr) == (-signal.SIGINT, b"", b"")
