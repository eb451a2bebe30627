"""The data folder of `isthmus dev`, its parts, and the end of its descendants."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from isthmus_client.discovery import find_server
from isthmus_dev.errors import AlreadyRunningError, DevError, PartDiedError
from isthmus_dev.folder import DataFolder
from isthmus_dev.part import Part
from isthmus_lifecycle.leaves import leaves
from isthmus_lifecycle.service import until_stopped


def test_a_folder_has_one_owner_who_is_named(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / ".isthmus")
    with folder.owned(), pytest.raises(AlreadyRunningError) as caught, folder.owned():
        pass
    assert caught.value.pid == os.getpid()
    assert f"kill {os.getpid()}" in caught.value.remedy
    with folder.owned():
        assert (folder.path / ".gitignore").read_text() == "*\n"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DevError, match="cannot be used"), DataFolder(tmp_path / "file" / "x").owned():
        pass


def test_the_address_is_announced_for_as_long_as_it_is_served(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / ".isthmus")
    with folder.owned():
        with folder.announced("127.0.0.1:9"):
            assert find_server(None, environ={}, folder=tmp_path) == "127.0.0.1:9"
            assert json.loads(folder.server_file.read_text()) == {
                "address": "127.0.0.1:9",
                "pid": os.getpid(),
                "token_file": str(folder.token_file),
            }
        assert not folder.server_file.exists()


async def test_a_part_is_started_when_it_is_ready_and_stops_when_told() -> None:
    told = []

    async def service(stop: asyncio.Event, started: asyncio.Event) -> None:
        started.set()
        told.append("started")
        await stop.wait()
        told.append("stopped")

    async with asyncio.TaskGroup() as group:
        part = await Part.start(group, service, name="monitor", log_file="x.log")
        assert told == ["started"]
        await part.finish()
        assert told == ["started", "stopped"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (ExceptionGroup("many", [ValueError("no disk")]), "The agent died: no disk"),
        (None, "The agent died: it ended by itself"),
    ],
)
async def test_a_part_that_dies_ends_the_whole_with_its_reason(fault: Exception | None, message: str) -> None:
    async def service(_stop: asyncio.Event, _started: asyncio.Event) -> None:
        if fault:
            raise fault

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            await Part.start(group, service, name="agent", log_file="x.log")
    error = leaves(caught.value)[0]
    assert isinstance(error, PartDiedError)
    assert str(error) == message
    assert "x.log" in error.remedy


async def test_work_without_an_end_is_cancelled_when_asked_to_stop() -> None:
    stop, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            stop.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    await until_stopped(work(), stop)
    assert ended.is_set()


def test_descendants_are_ended_down_to_grandchildren_in_sessions_of_their_own() -> None:
    code = (
        "import subprocess, sys\n"
        "from pathlib import Path\n"
        "from isthmus_dev.descendant import descendants, kill_descendants\n"
        "import os\n"
        "inner = \"import subprocess, sys; p = subprocess.Popen(['sleep', '600'], start_new_session=True);\"\n"
        "inner += ' print(p.pid, flush=True); p.wait()'\n"
        "child = subprocess.Popen([sys.executable, '-c', inner], stdout=subprocess.PIPE, start_new_session=True)\n"
        "grandchild = int(child.stdout.readline())\n"
        "assert set(descendants(os.getpid())) == {child.pid, grandchild}\n"
        "kill_descendants()\n"
        "assert not descendants(os.getpid())\n"
        "print(grandchild)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    status = Path(f"/proc/{done.stdout.strip()}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()
