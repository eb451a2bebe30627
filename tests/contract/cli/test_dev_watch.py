"""`isthmus dev` while its project is edited."""

from pathlib import Path

import pytest
from contract.cli.dev_kit import DEFINITIONS, isthmus, running_dev

pytestmark = pytest.mark.timeout(600)

#: A run that fails after a file appears, on a line that is not what it was by then.
FAILING = """
import pathlib, time
import dagster as dg

@dg.op
def greet():
    print("begun", flush=True)
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
    raise RuntimeError("this line ran")

@dg.job(executor_def=dg.in_process_executor)
def greeting():
    greet()

defs = dg.Definitions(jobs=[greeting])
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "greetings"
    folder.mkdir()
    (folder / "definitions.py").write_text(DEFINITIONS)
    return folder


async def launch(project: Path, job: str) -> tuple[str, str]:
    """Launch a run and wait for it; returns its id and what it printed."""
    code, out, err = await isthmus(project, "run", "launch", job, "--watch")
    assert (code, "SUCCEEDED" in out) == (0, True), out + err
    run_id = next(word for word in err.split() if word.count("-") == 4)
    return run_id, (await isthmus(project, "run", "logs", run_id))[1]


async def test_the_next_launch_has_what_was_saved_and_code_that_does_not_load_changes_nothing(project: Path) -> None:
    file = project / "definitions.py"
    limits = "run_queue: {max_concurrent_runs: 9}\n"
    (project / "dagster.yaml").write_text("retention: {sensor: {purge_after_days: 7}}\n" + limits)
    async with running_dev(project) as dev:
        screen = await dev.read_until("Ctrl-C stops everything")
        assert screen.count("dagster.yaml: retention has no effect here: ") == 1
        assert "dagster.yaml limits the queue: isthmus queue" in screen

        file.write_text(DEFINITIONS.replace("hello from the run", "hello again").replace("greeting", "farewell"))
        await dev.read_until("reloaded greetings in ")
        assert "hello again" in (await launch(project, "farewell"))[1]

        file.write_text(DEFINITIONS.replace('"""', "") + "\nnobody_knows_me\n")
        screen = await dev.read_until("the code before goes on serving")
        assert "retention" not in screen
        assert (
            f"NameError: name 'nobody_knows_me' is not defined ({file}:{len(file.read_text().splitlines())})" in screen
        )
        run_id, printed = await launch(project, "farewell")
        assert "hello again" in printed
        # It may have ended before anybody looked.
        screen = await dev.read_until(", the code before the change that does not load")
        assert f"{run_id}  farewell  " in screen

        file.write_text(DEFINITIONS)
        await dev.read_until("reloaded greetings in ")
        assert "hello from the run" in (await launch(project, "greeting"))[1]
        assert await dev.end() == 0


async def test_a_traceback_shows_the_lines_that_ran(project: Path) -> None:
    file = project / "definitions.py"
    file.write_text(FAILING)
    async with running_dev(project) as dev:
        await dev.read_until("Ctrl-C stops everything")
        code, out, err = await isthmus(project, "run", "launch", "greeting")
        assert code == 0, out + err
        run_id = next(word for word in (out + err).split() if word.count("-") == 4)
        await dev.read_until(f"{run_id}  greeting  RUNNING")
        file.write_text("# another line\n" * 5 + FAILING)
        await dev.read_until("reloaded greetings in ")
        (project / "go").touch()
        await dev.read_until("FAILED")
        _, out, _ = await isthmus(project, "run", "watch", run_id)
        assert 'raise RuntimeError("this line ran")' in out
        assert await dev.end() == 0


async def test_a_location_that_the_workspace_names_anew_is_loaded_and_watched(tmp_path: Path) -> None:
    first, second = tmp_path / "here", tmp_path / "elsewhere"
    for folder in (first, second):
        folder.mkdir()
        (folder / "definitions.py").write_text(DEFINITIONS)
    workspace = first / "workspace.yaml"
    named = "load_from:\n  - python_file: {relative_path: definitions.py, location_name: one}\n"
    workspace.write_text(named)
    async with running_dev(first, target=()) as dev:
        await dev.read_until("Ctrl-C stops everything")

        more = f"  - python_file: {{relative_path: {second}/definitions.py, working_directory: {second}, location_name: two}}\n"
        workspace.write_text(named + more)
        await dev.read_until("loaded two in ")
        (second / "definitions.py").write_text(DEFINITIONS.replace("greeting", "farewell"))
        await dev.read_until("reloaded two in ")
        await launch(first, "farewell")

        workspace.write_text("load_from: nonsense\n")
        await dev.read_until("the project's locations stay as they were")
        workspace.write_text(named)
        await dev.read_until("two is named no more")
        assert await dev.end() == 0
