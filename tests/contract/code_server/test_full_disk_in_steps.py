"""A disk that fills while steps execute in processes of their own: the run ends and names it, and its neighbours go on."""

from pathlib import Path

import pytest
from isthmus_code_server.runs.supervisor import Supervisor
from support.eventually import eventually
from support.small_disk import small_disk
from support_code_server import bodies, run_request
from support_supervisor import ended, is_alive, supervising

PROJECT = """
import time
from pathlib import Path

import dagster as dg

@dg.op(config_schema={"ready": str, "go": str})
def first(context):
    Path(context.op_config["ready"]).touch()
    while not Path(context.op_config["go"]).exists():
        time.sleep(0.02)
    return 1

@dg.op
def second(value):
    print("x" * 100_000)

@dg.job
def two_steps():
    second(first())

defs = dg.Definitions(jobs=[two_steps])
"""


async def start(supervisor: Supervisor, run_id: str, *, ready: Path, go: Path) -> int:
    config = {"ops": {"first": {"config": {"ready": str(ready), "go": str(go)}}}}
    answer = await supervisor.start(run_request("two_steps", config=config, run_id=run_id))
    assert answer.HasField("accepted"), answer
    await eventually(ready.exists, within=20)
    return answer.accepted.pid


@pytest.mark.parametrize("free_pages", [0, 1, 3])
async def test_a_disk_that_is_full_when_a_step_begins_is_named_as_the_runs_reason(
    tmp_path: Path, free_pages: int
) -> None:
    (tmp_path / "project.py").write_text(PROJECT)
    with small_disk(tmp_path / "home", size="4m") as disk:
        async with supervising(tmp_path, python_file=tmp_path / "project.py") as supervisor:
            neighbour = await start(
                supervisor, "neighbour", ready=tmp_path / "neighbour is ready", go=tmp_path / "neighbour"
            )
            pid = await start(supervisor, "full", ready=tmp_path / "ready", go=tmp_path / "go")
            disk.fill(free_pages=free_pages)
            (tmp_path / "go").touch()
            await eventually(lambda: not is_alive(pid), within=60)
            disk.empty()
            last = (await ended(supervisor, "full"))[-1]
            assert last.HasField("run_failed"), last
            assert "No space left on device" in str(last), last
            assert is_alive(neighbour)
            (tmp_path / "neighbour").touch()
            assert bodies(await ended(supervisor, "neighbour"))[-1] == "run_succeeded"
