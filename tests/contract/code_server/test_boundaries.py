"""What goes wrong in one attempt ends that attempt, and nothing beside it."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from isthmus.v1 import code_server_pb2 as pb
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus.v1.telemetry_pb2 import Event
from isthmus_code_server.attempts.errors import AttemptFilesError
from isthmus_code_server.errors import ZygoteLostError
from isthmus_code_server.runs.supervisor import Supervisor
from isthmus_code_server.runs.zygote_link import ZygoteLink
from isthmus_code_server.runs.zygote_process import ZygoteProcess
from isthmus_code_server.zygote.wire import Exited, Forked, FrameKind, frame
from isthmus_spool.journal import JournalWriter
from support.eventually import eventually
from support.small_disk import SmallDisk, small_disk
from support_code_server import bodies, run_request
from support_supervisor import ended, folder_of, is_alive, journal, start_sleeping, supervising

#: How many turns of the loop a caller is given before it gives up: each of the first ones, and then up to more than any
#: call here takes.
_TURNS = (*range(12), *range(12, 60, 6), 100, 1000)

NOISE = {
    "a length beyond all": b"\xff" * 64,
    "a record that is no event": b"\0\0\0\4\xff\xff\xff\xff",
    "a record whose string is cut off": b"\0\0\0\2\x0a\xff",
}


async def finish_one(supervisor: Supervisor, run_id: str) -> None:
    answer = await supervisor.start(run_request("smallest", run_id=run_id))
    assert answer.HasField("accepted"), answer
    assert bodies(await ended(supervisor, run_id))[-1] == "run_succeeded"


async def test_a_damaged_journal_ends_its_run_with_the_damage_as_reason_and_no_other(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor:
        neighbour = await start_sleeping(supervisor, "neighbour", tmp_path)
        for name, noise in NOISE.items():
            pid = await start_sleeping(supervisor, name, tmp_path)
            with folder_of(supervisor, name).journal.open("ab") as file:
                file.write(noise)
            os.kill(pid, signal.SIGINT)
            _check_damage((await ended(supervisor, name))[-1])
            assert not is_alive(pid)
        await _swallow_the_end(supervisor, tmp_path)
        await _append_as_a_stranger(supervisor, tmp_path)
        assert is_alive(neighbour)
        await finish_one(supervisor, "next")


def _check_damage(event: Event) -> None:
    assert event.run_failed.reason == telemetry.RUN_REASON_INTERNAL_ERROR
    assert "journal is damaged" in event.message


async def _start_short(supervisor: Supervisor, run_id: str, tmp_path: Path) -> int:
    ready = tmp_path / f"{run_id}.ready"
    config = {"ops": {"sleeps": {"config": {"ready": str(ready), "seconds": 1.0}}}}
    answer = await supervisor.start(run_request("sleeping", config=config, run_id=run_id))
    await eventually(ready.exists, within=10)
    return answer.accepted.pid


async def _swallow_the_end(supervisor: Supervisor, tmp_path: Path) -> None:
    """Write the head of a record that never ends: all that follows seems to be a part of it."""
    await _start_short(supervisor, "swallowed", tmp_path)
    with folder_of(supervisor, "swallowed").journal.open("ab") as file:
        file.write(b"\0\x0f\xff\xff")
    _check_damage((await ended(supervisor, "swallowed"))[-1])


async def _append_as_a_stranger(supervisor: Supervisor, tmp_path: Path) -> None:
    """Append an event as a process that user code forked off may."""
    pid = await start_sleeping(supervisor, "stranger", tmp_path)
    writer = JournalWriter(folder_of(supervisor, "stranger").journal)
    writer.append(Event(message="a child's word"))
    writer.close()
    os.kill(pid, signal.SIGKILL)
    assert "a child's word" in [event.message for event in await ended(supervisor, "stranger")]


async def test_a_full_disk_ends_what_needs_it_by_its_name_and_nothing_else(tmp_path: Path) -> None:
    with small_disk(tmp_path / "home", size="4m") as disk:
        async with supervising(tmp_path) as supervisor:
            neighbour = await start_sleeping(supervisor, "neighbour", tmp_path)
            await _launch_on_full_disk(supervisor, disk)
            await _run_on_full_disk(supervisor, disk, tmp_path)
            await _cancel_on_full_disk(supervisor, disk, tmp_path)
            assert is_alive(neighbour)


async def _launch_on_full_disk(supervisor: Supervisor, disk: SmallDisk) -> None:
    for free_pages in (0, 1):
        disk.fill(free_pages=free_pages)
        with suppress(AttemptFilesError):
            # What fits into a page may begin, and fails for what does not.
            answer = await supervisor.start(run_request("smallest", run_id=f"launched-{free_pages}"))
            assert answer.HasField("accepted") or "No space left on device" in answer.rejected.failure.message
        disk.empty()
    disk.fill()
    with pytest.raises(AttemptFilesError, match="No space left on device"):
        await supervisor.start(run_request("smallest", run_id="launched"))
    assert not folder_of(supervisor, "launched").is_claimed
    disk.empty()
    await finish_one(supervisor, "launched")


async def _run_on_full_disk(supervisor: Supervisor, disk: SmallDisk, tmp_path: Path) -> None:
    pid = await _start_short(supervisor, "running", tmp_path)
    disk.fill()
    writer = JournalWriter(folder_of(supervisor, "running").journal)
    with suppress(OSError):
        # To the end of the file's last page.
        while True:
            writer.append(Event(message="x"))
    writer.close()
    await eventually(lambda: not is_alive(pid), within=20)
    disk.empty()
    failed = (await ended(supervisor, "running"))[-1]
    assert failed.HasField("run_failed")
    assert "No space left on device" in failed.message


async def _cancel_on_full_disk(supervisor: Supervisor, disk: SmallDisk, tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        pid = await start_sleeping(supervisor, "canceled", tmp_path)
        disk.fill()
        canceling = tasks.create_task(supervisor.cancel(telemetry.RunRef(run_id="canceled", attempt=1)))
        await eventually(lambda: not is_alive(pid), within=20)
        disk.empty()
        assert await canceling
        assert journal(supervisor, "canceled")[-1].HasField("run_canceled")


def start_smallest(supervisor: Supervisor) -> Awaitable[object]:
    return supervisor.start(run_request("smallest", run_id=f"given-up-{os.urandom(4).hex()}"))


def start_invalid(supervisor: Supervisor) -> Awaitable[object]:
    return supervisor.start(run_request("configured", run_id=f"given-up-{os.urandom(4).hex()}"))


def ask(supervisor: Supervisor) -> Awaitable[object]:
    request = pb.ValidateRunRequest(request=run_request("configured"))
    return supervisor.ask(FrameKind.VALIDATE, request, question="validate the run")


async def cancel_one(supervisor: Supervisor) -> object:
    run_id = f"canceled-{os.urandom(4).hex()}"
    await supervisor.start(run_request("smallest", run_id=run_id))
    return await supervisor.cancel(telemetry.RunRef(run_id=run_id, attempt=1))


async def _called(call: Callable[[Supervisor], Awaitable[object]], supervisor: Supervisor) -> None:
    await call(supervisor)


def describe(supervisor: Supervisor) -> Awaitable[object]:
    return supervisor.zygote.described()


async def test_a_caller_may_give_up_at_any_turn(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor, asyncio.TaskGroup() as tasks:
        for call in (start_smallest, start_invalid, ask, cancel_one, describe):
            for turns in _TURNS:
                caller = tasks.create_task(_called(call, supervisor))
                for _ in range(turns):
                    await asyncio.sleep(0)
                caller.cancel()
                await asyncio.wait((caller,))
        # Whatever was begun comes to its end, and nothing is left of it.
        await eventually(lambda: not supervisor.live, within=60)
        await eventually(lambda: not _children(supervisor), within=60)
        assert supervisor.zygote.phase == "ready"
        await finish_one(supervisor, "next")


ENDLESS = """
import time
import dagster as dg

@dg.asset
def one() -> None: ...

@dg.sensor(target=[one])
def endless(context):
    time.sleep(3600)

defs = dg.Definitions(assets=[one], sensors=[endless])
"""


async def test_a_question_whose_caller_gave_up_is_not_pursued(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    async with supervising(tmp_path, python_file=tmp_path / "endless.py") as supervisor, asyncio.TaskGroup() as tasks:
        request = pb.EvaluateSensorRequest(sensor_name="endless")
        asking = tasks.create_task(supervisor.evaluations.ask(FrameKind.SENSOR, request, question="wait"))
        # Dagster is imported first, which takes long where nothing is compiled.
        await eventually(lambda: _children(supervisor), within=30)
        asking.cancel()
        await eventually(lambda: not _children(supervisor), within=10)


def _pretender(*command: str) -> tuple[ZygoteProcess, socket.socket]:
    """Start a process that is no zygote, for which the test speaks."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(command)
    return ZygoteProcess(process=process, channel=ours, instance_address=""), theirs


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param(b"\xff" * 10, id="an unknown kind"),
        pytest.param(frame(FrameKind.EXITED, b"?"), id="a frame cut short"),
        pytest.param(frame(FrameKind.LOADED, b"\xff"), id="a description that is none"),
    ],
)
async def test_a_zygote_that_says_nonsense_is_ended(nonsense: bytes) -> None:
    process, theirs = _pretender("sleep", "3600")
    zygote = ZygoteLink(process)
    with theirs:
        theirs.sendall(nonsense)
        async with asyncio.timeout(20):
            await zygote.run()
    assert process.process.returncode == -signal.SIGKILL
    with pytest.raises(ZygoteLostError):
        await zygote.described()


async def test_a_zygote_may_tell_of_children_that_nobody_knows() -> None:
    process, theirs = _pretender("true")
    zygote = ZygoteLink(process)
    with theirs:
        theirs.sendall(frame(FrameKind.FORKED, Forked(call=7, pid=1).encode()))
        theirs.sendall(frame(FrameKind.EXITED, Exited(call=7, pid=1, status=0).encode()))
        theirs.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(20):
            await zygote.run()
    assert process.process.returncode == 0


def _children(supervisor: Supervisor) -> list[str]:
    zygote = supervisor.zygote.pid
    return Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()
