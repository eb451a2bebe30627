"""`isthmus dev` when nobody reads any more: it ends in order, and leaves nothing behind."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from contract.cli.dev_kit import DEFINITIONS, environment, isthmus
from isthmus_dev.descendant import descendants
from support.eventually import PATIENCE, eventually

pytestmark = pytest.mark.timeout(600)

COMMAND = [sys.executable, "-m", "isthmus_cli", "dev", "-f", "definitions.py", "--port", "0"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "greetings"
    folder.mkdir()
    (folder / "definitions.py").write_text(DEFINITIONS)
    return folder


def start(folder: Path, *prefix: str, output: int, is_terminal: bool = False) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        # Whoever runs the tests may ignore what a closed terminal says, and what they start would do so, too.
        ["env", "--default-signal=HUP", *prefix, *COMMAND],
        cwd=folder,
        stdin=output if is_terminal else subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=environment(),
    )


async def served(folder: Path) -> None:
    await eventually((folder / ".isthmus" / "server.json").exists, within=90)


async def ended_in_order(process: "subprocess.Popen[bytes]", folder: Path, *, family: list[int]) -> None:
    assert await asyncio.to_thread(process.wait, 30 * PATIENCE) == 0
    await eventually(lambda: not [pid for pid in family if Path(f"/proc/{pid}").exists()], within=5)
    assert not (folder / ".isthmus" / "server.json").exists()
    log = (folder / ".isthmus" / "log" / "isthmus.log").read_text()
    assert log.index("agent_stopped") < log.index("control_plane_stopped")


async def test_a_closed_terminal_ends_it_in_order(project: Path) -> None:
    ours, theirs = pty.openpty()
    process = start(project, "setsid", "--ctty", output=theirs, is_terminal=True)
    os.close(theirs)
    asyncio.get_running_loop().add_reader(ours, lambda: os.read(ours, 65536))
    await served(project)
    family = descendants(process.pid)
    asyncio.get_running_loop().remove_reader(ours)
    os.close(ours)  # The kernel sends SIGHUP, and every write fails from now on.
    process.send_signal(signal.SIGHUP)  # A shell says it once more.
    await ended_in_order(process, project, family=family)


async def test_a_broken_pipe_ends_it_in_order(project: Path) -> None:
    ours, theirs = os.pipe()
    process = start(project, output=theirs)
    os.close(theirs)
    said = bytearray()
    asyncio.get_running_loop().add_reader(ours, lambda: said.extend(os.read(ours, 65536)))
    # The last that it has to say by itself.
    await eventually(lambda: b"Its pages" in said, within=90)
    family = descendants(process.pid)
    asyncio.get_running_loop().remove_reader(ours)
    os.close(ours)
    # The next line that it has to say finds nobody.
    assert (await isthmus(project, "run", "launch", "greeting"))[0] == 0
    await ended_in_order(process, project, family=family)


async def test_under_nohup_a_closed_terminal_changes_nothing(project: Path) -> None:
    with (project / "nohup.out").open("wb") as output:
        process = start(project, "nohup", output=output.fileno())
    await served(project)
    family = descendants(process.pid)
    process.send_signal(signal.SIGHUP)
    code, out, err = await isthmus(project, "run", "launch", "greeting", "--watch")
    assert (code, "SUCCEEDED" in out) == (0, True), out + err
    process.send_signal(signal.SIGINT)
    await ended_in_order(process, project, family=family)
