"""A run has ended only when no process that it started lives, whatever it did to get away."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from isthmus.v1 import code_server_pb2 as pb
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_code_server.runs.supervisor import Supervisor
from isthmus_code_server.zygote.wire import FrameKind, StartMethod
from support.eventually import eventually
from support_code_server import bodies, run_request
from support_supervisor import ended, folder_of, is_alive, supervising

PROJECT = '''
import os, signal, subprocess, sys, time
from pathlib import Path
import dagster as dg

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(3600)"

if os.environ.get("TEST_IMPORT_PIDS"):
    own = [subprocess.Popen(["sleep", "3600"]).pid, subprocess.Popen(["sleep", "3600"], start_new_session=True).pid]
    Path(os.environ["TEST_IMPORT_PIDS"]).write_text(" ".join(map(str, own)))


@dg.op(config_schema={"folder": str, "how": str})
def leaves(context):
    folder, how = Path(context.op_config["folder"]), context.op_config["how"]
    pids = [subprocess.Popen(["sleep", "3600"]).pid, subprocess.Popen(["sleep", "3600"], start_new_session=True).pid]
    # A daemon of its own session, two forks away.
    pids.append(int(subprocess.check_output(["setsid", "sh", "-c", "sleep 3600 >/dev/null & echo $!"])))
    if how == "stubborn":
        stubborn = subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=True, stdout=subprocess.PIPE)
        stubborn.stdout.readline()
        pids.append(stubborn.pid)
    (folder / "part").write_text(" ".join(map(str, pids)))
    (folder / "part").rename(folder / "pids")
    if how == "raise":
        raise ValueError("no more")
    if how == "exit":
        os._exit(7)
    if how == "wait":
        time.sleep(3600)


@dg.job(executor_def=dg.in_process_executor)
def in_process():
    leaves()


@dg.job
def by_step():
    leaves()


@dg.op
def tracks():
    import multiprocessing
    multiprocessing.get_context("spawn").Lock()


@dg.job(executor_def=dg.in_process_executor)
def tracking():
    tracks()


# Forks and ends, for ever, and tells of each; by itself after a minute, so that no test leaves it behind.
COMET = """
use POSIX;
$SIG{TERM} = 'IGNORE';
while (time() - $^T < 60) { exit if fork; %s open(my $told, '>>', $ARGV[0]); syswrite($told, 'x'); close($told) }
"""


@dg.op(config_schema={"way": str, "told": str})
def flies(context):
    told = Path(context.op_config["told"])
    subprocess.Popen(["perl", "-e", COMET % context.op_config["way"], str(told)], stdin=subprocess.DEVNULL)
    while not told.exists() or told.stat().st_size < 100:
        time.sleep(0.01)


@dg.job(executor_def=dg.in_process_executor)
def flying():
    flies()


@dg.sensor(job=tracking)
def leaving():
    subprocess.Popen(["sleep", "3600"], start_new_session=True)
    return dg.SkipReason("none")


defs = dg.Definitions(jobs=[in_process, by_step, flying, tracking], sensors=[leaving])
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "leaving.py"
    path.write_text(PROJECT)
    return path


async def leave(supervisor: Supervisor, run_id: str, how: str, *, tmp_path: Path, job: str = "in_process") -> list[int]:
    """Start a run that leaves processes behind; returns them."""
    folder = tmp_path / run_id
    folder.mkdir()
    config = {"ops": {"leaves": {"config": {"folder": str(folder), "how": how}}}}
    answer = await supervisor.start(run_request(job, config=config, run_id=run_id))
    assert answer.HasField("accepted"), answer
    await eventually((folder / "pids").exists, within=20)
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if is_alive(pid)]


async def test_nothing_lives_on_however_a_run_ends_and_what_others_started_is_left_alone(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_IMPORT_PIDS", str(tmp_path / "imported"))
    async with supervising(tmp_path, python_file=project) as supervisor:
        imported = [int(pid) for pid in (tmp_path / "imported").read_text().split()]
        living = await leave(supervisor, "living", "wait", tmp_path=tmp_path)
        for how in ("return", "raise", "exit", "stubborn"):
            left = await leave(supervisor, how, how, tmp_path=tmp_path)
            await ended(supervisor, how, within=20)
            assert alive(left) == [], how
        left = await leave(supervisor, "steps", "return", tmp_path=tmp_path, job="by_step")
        assert bodies(await ended(supervisor, "steps"))[-1] == "run_succeeded"
        assert alive(left) == []
        left = await leave(supervisor, "killed", "wait", tmp_path=tmp_path)
        os.kill(supervisor.live["killed", 1].pid, signal.SIGKILL)
        await ended(supervisor, "killed")
        assert alive(left) == []
        left = await leave(supervisor, "canceled", "wait", tmp_path=tmp_path, job="by_step")
        await supervisor.cancel(telemetry.RunRef(run_id="canceled", attempt=1))
        assert alive(left) == []
        assert alive(living) == living
        assert alive(imported) == imported
        await supervisor.cancel(telemetry.RunRef(run_id="living", attempt=1))
        assert alive(living) == []
    for pid in imported:
        os.kill(pid, signal.SIGKILL)


async def test_many_runs_that_end_at_once_leave_nothing(project: Path, tmp_path: Path) -> None:
    async with supervising(tmp_path, python_file=project) as supervisor, asyncio.TaskGroup() as tasks:
        ways = ("return", "raise", "exit") * 4
        leaving = [
            tasks.create_task(leave(supervisor, f"r{number}", how, tmp_path=tmp_path))
            for number, how in enumerate(ways)
        ]
        left = [pid for task in leaving for pid in await task]
        for number in range(len(ways)):
            await ended(supervisor, f"r{number}", within=30)
        assert alive(left) == []
        # A helper that ends with its run is given the moment that it needs.
        await supervisor.start(run_request("tracking", run_id="tracking"))
        assert bodies(await ended(supervisor, "tracking"))[-1] == "run_succeeded"
        # Questions leave nothing, either.
        request = pb.EvaluateSensorRequest(sensor_name="leaving")
        await supervisor.ask(FrameKind.SENSOR, request, question="wait")
        await eventually(lambda: not _below(supervisor.zygote.pid), within=10)


@pytest.mark.parametrize("way", ["", "POSIX::setsid();"], ids=["in its group", "in sessions of its own"])
async def test_what_forks_faster_than_it_is_seen_is_ended(project: Path, tmp_path: Path, way: str) -> None:
    told = tmp_path / "told"
    async with supervising(tmp_path, python_file=project) as supervisor:
        config = {"ops": {"flies": {"config": {"way": way, "told": str(told)}}}}
        answer = await supervisor.start(run_request("flying", config=config, run_id="comet"))
        assert answer.HasField("accepted"), answer
        assert bodies(await ended(supervisor, "comet", within=60))[-1] == "run_succeeded"
        size = told.stat().st_size
        # Each generation tells within a millisecond or two.
        await asyncio.sleep(1)
        assert told.stat().st_size == size


async def test_runs_that_import_the_project_themselves_leave_nothing(project: Path, tmp_path: Path) -> None:
    async with supervising(tmp_path, python_file=project, start=StartMethod.SPAWN) as supervisor:
        left = await leave(supervisor, "r", "return", tmp_path=tmp_path)
        await ended(supervisor, "r")
        assert alive(left) == []


async def test_who_means_it_may_leave_processes(project: Path, tmp_path: Path) -> None:
    async with supervising(tmp_path, python_file=project, leaves_children=True) as supervisor:
        left = await leave(supervisor, "r", "return", tmp_path=tmp_path)
        assert bodies(await ended(supervisor, "r"))[-1] == "run_succeeded"
        assert alive(left) == left
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert folder_of(supervisor, "r").is_claimed


def _below(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
