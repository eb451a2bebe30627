"""A run or step that is done ends also when its threads do not, and says which they are."""

from pathlib import Path

import pytest
from isthmus_code_server.kernel.threads import GRACE_VARIABLE
from isthmus_code_server.runs.supervisor import Supervisor
from support.eventually import eventually
from support_code_server import bodies, run_request
from support_supervisor import ended, folder_of, is_alive, supervising

PROJECT = """
import atexit, threading, time
from pathlib import Path
import dagster as dg


def upload():
    threading.Event().wait()


@dg.op
def lingers():
    threading.Thread(target=upload, name="uploader").start()


@dg.op
def hangs_at_exit():
    atexit.register(time.sleep, 3600)


@dg.op(config_schema=str)
def finishes(context):
    path = Path(context.op_config)

    def finish():
        time.sleep(0.3)
        path.touch()

    threading.Thread(target=finish).start()


@dg.job(executor_def=dg.in_process_executor)
def lingering():
    lingers()


@dg.job
def lingering_steps():
    lingers()


@dg.job(executor_def=dg.in_process_executor)
def hanging():
    hangs_at_exit()


@dg.job(executor_def=dg.in_process_executor)
def finishing():
    finishes()


defs = dg.Definitions(jobs=[lingering, lingering_steps, hanging, finishing])
"""


async def test_threads_and_exits_that_never_end_are_given_up_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(GRACE_VARIABLE, "1")
    (tmp_path / "threads.py").write_text(PROJECT)
    async with supervising(tmp_path, python_file=tmp_path / "threads.py") as supervisor:
        for job in ("lingering", "lingering_steps"):
            warning = await _warning_of(supervisor, job)
            assert "'uploader' at " in warning
            assert "threads.py:8 in upload" in warning
        await _run(supervisor, "hanging")
        assert "MainThread" in folder_of(supervisor, "hanging").stderr.read_text()


async def test_a_thread_that_ends_in_time_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "threads.py").write_text(PROJECT)
    async with supervising(tmp_path, python_file=tmp_path / "threads.py") as supervisor:
        path = tmp_path / "finished"
        await supervisor.start(
            run_request("finishing", config={"ops": {"finishes": {"config": str(path)}}}, run_id="finishing")
        )
        events = await ended(supervisor, "finishing", within=20)
        assert path.exists()
        assert not [event for event in events if event.log_message.logger == "isthmus"]


async def _run(supervisor: Supervisor, job: str) -> list[str]:
    answer = await supervisor.start(run_request(job, run_id=job))
    events = await ended(supervisor, job, within=30)
    assert bodies(events)[-1] == "run_succeeded"
    await eventually(lambda: not is_alive(answer.accepted.pid), within=1)
    return [event.message for event in events if event.log_message.logger == "isthmus"]


async def _warning_of(supervisor: Supervisor, job: str) -> str:
    (warning,) = await _run(supervisor, job)
    return warning
