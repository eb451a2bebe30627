"""Evaluations: many are answered by few processes, and none is lost with another's."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from isthmus.v1 import code_server_pb2 as pb
from isthmus_code_server.errors import ChildLostError
from isthmus_code_server.runs.evaluations import AT_ONCE, MOST_ANSWERS
from isthmus_code_server.runs.supervisor import Supervisor
from isthmus_code_server.zygote.wire import FrameKind
from support.eventually import eventually
from support_supervisor import is_alive, supervising

PROJECT = """
import os, time
from dagster import Definitions, SkipReason, sensor

answered = []

def told():
    answered.append(1)
    return SkipReason(f"{os.getpid()} {len(answered)}")

@sensor(job_name="j")
def pid(context):
    return told()

@sensor(job_name="j")
def wants_a_fresh_process(context):
    if answered:
        os._exit(3)
    return told()

@sensor(job_name="j")
def dies(context):
    os._exit(3)

@sensor(job_name="j")
def hangs(context):
    with open(context.cursor, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)

@sensor(job_name="j")
def fails(context):
    raise ValueError("not today")

from dagster import job, op

@op
def nothing(): ...

@job
def j():
    nothing()

defs = Definitions(jobs=[j], sensors=[pid, wants_a_fresh_process, dies, hangs, fails])
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    file = tmp_path / "evaluated.py"
    file.write_text(PROJECT)
    return file


async def evaluated(supervisor: Supervisor, sensor: str, *, cursor: str = "") -> pb.EvaluateSensorResponse:
    request = pb.EvaluateSensorRequest(sensor_name=sensor, cursor=cursor)
    told = await supervisor.evaluations.ask(FrameKind.SENSOR, request, question="evaluate the sensor")
    return pb.EvaluateSensorResponse.FromString(told)


async def pid_of(supervisor: Supervisor) -> int:
    return int((await evaluated(supervisor, "pid")).answer.skip_reason.split()[0])


async def test_many_are_answered_by_few_processes_each_of_which_goes_after_a_while(
    project: Path, tmp_path: Path
) -> None:
    async with supervising(tmp_path, python_file=project) as supervisor:
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(pid_of(supervisor)) for _ in range(3 * AT_ONCE)]
        by_process = Counter(task.result() for task in asking)
        assert len(by_process) <= AT_ONCE
        for _ in range(MOST_ANSWERS):
            by_process[await pid_of(supervisor)] += 1
        assert max(by_process.values()) <= MOST_ANSWERS
        assert len(by_process) < AT_ONCE + MOST_ANSWERS // 2
        await eventually(lambda: not any(is_alive(pid) for pid in by_process), within=15)


async def test_one_that_ends_its_process_or_raises_harms_no_other(project: Path, tmp_path: Path) -> None:
    async with supervising(tmp_path, python_file=project) as supervisor:
        first = await pid_of(supervisor)
        # What went before in a process may be why it ends: it is asked again in one of its own.
        assert (await evaluated(supervisor, "wants_a_fresh_process")).answer.skip_reason.endswith(" 1")
        with pytest.raises(ChildLostError):
            await evaluated(supervisor, "dies")
        assert (await evaluated(supervisor, "fails")).failure.message == "not today"
        assert await pid_of(supervisor) != first


async def test_one_that_hangs_is_ended_with_its_caller_and_holds_nobody_up(project: Path, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    async with supervising(tmp_path, python_file=project) as supervisor, asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(evaluated(supervisor, "hangs", cursor=str(note)))
        pid = int(await eventually(lambda: note.exists() and note.read_text(), within=15))
        assert await pid_of(supervisor) != pid
        hanging.cancel()
        await eventually(lambda: not is_alive(pid), within=15)
        assert await pid_of(supervisor) != pid
