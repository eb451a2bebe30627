"""What of a project is code, and when it changed."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus.v1.telemetry_pb2 import Failure
from isthmus_dev.watch.reloader import affected, failure_place, watched_folders
from isthmus_dev.watch.tree import Tree, look
from isthmus_dev.watch.watcher import watch
from support.eventually import patiently


def write(path: Path, text: str = "x = 1\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_code_is_watched_and_what_runs_and_tools_write_is_not(tmp_path: Path) -> None:
    code = [
        write(tmp_path / name) for name in ("sales/defs.py", "models/orders.sql", "defs.yaml", "pyproject.toml", ".env")
    ]
    code += [write(tmp_path / "target" / "__init__.py"), write(tmp_path / "target" / "part.py")]
    for name in ("sales.duckdb", "data.csv", "out.json", ".venv/lib/a.py", "sales/__pycache__/a.py", ".git/hooks/a.py"):
        write(tmp_path / name)
    write(tmp_path / "dbt" / "target" / "compiled.sql")
    write(tmp_path / "state" / "a.py")
    write(tmp_path / "my-env" / "lib" / "a.py")
    write(tmp_path / "my-env" / "pyvenv.cfg")
    assert set(look([tmp_path], ignored=[tmp_path / "state"]).files) == {str(path) for path in code}


def test_a_file_that_is_written_with_what_it_held_did_not_change(tmp_path: Path) -> None:
    file = write(tmp_path / "defs.py", "x = 1\n")
    before = look([tmp_path], ignored=[])
    file.write_text("x = 1\n")
    os.utime(file, ns=(1, 1))
    again = look([tmp_path], ignored=[], before=before)
    assert again.changed_since(before) == set()
    file.write_text("x = 2\n")
    assert look([tmp_path], ignored=[], before=again).changed_since(again) == {file}


@asynccontextmanager
async def watching(folder: Path, *, since: Tree | None = None) -> AsyncIterator["asyncio.Queue[set[Path]]"]:
    before = look([folder], ignored=[]) if since is None else since
    found: asyncio.Queue[set[Path]] = asyncio.Queue()

    async def collect() -> None:
        async with aclosing(watch([folder], ignored=[], since=before)) as bursts:
            async for burst in bursts:
                found.put_nowait(burst)

    async with asyncio.TaskGroup() as group:
        collecting = group.create_task(collect())
        yield found
        collecting.cancel()


async def test_what_was_saved_before_the_watch_began_is_told(tmp_path: Path) -> None:
    defs = write(tmp_path / "defs.py")
    before = look([tmp_path], ignored=[])
    defs.write_text("x = 2\n")
    async with watching(tmp_path, since=before) as found, patiently(20):
        assert await found.get() == {defs}


async def test_changes_are_told_also_in_folders_that_are_new_and_those_of_data_are_not(tmp_path: Path) -> None:
    defs = write(tmp_path / "defs.py")
    async with watching(tmp_path) as found, patiently(20):
        # The watch begins at some time: until then nothing is missed, for the first look finds it.
        while found.empty():
            defs.write_text(defs.read_text() + "x += 1\n")
            await asyncio.sleep(0)
        assert await found.get() == {defs}
        write(tmp_path / "data.csv")
        fresh = write(tmp_path / "fresh" / "deep" / "part.py")
        seen: set[Path] = set()
        while fresh not in seen:
            seen |= await found.get()
        assert seen <= {defs, fresh}
        write(fresh, "x = 3\n")
        while fresh not in await found.get():
            pass
        fresh.unlink()
        while fresh not in await found.get():
            pass


def test_a_change_concerns_the_locations_that_hold_the_file() -> None:
    roots = {"east": [Path("/p/east"), Path("/p/shared")], "west": [Path("/p/west"), Path("/p/shared")]}
    assert affected([Path("/p/east/defs.py")], roots=roots) == ["east"]
    assert affected([Path("/p/shared/defs.py")], roots=roots) == ["east", "west"]
    assert affected([Path("/q/defs.py")], roots=roots) == []


def test_folders_within_watched_ones_are_not_watched_twice() -> None:
    source = CodeSource(python_file="/p/defs/a.py", working_directory="/p", current_directory="/q")
    assert watched_folders(LocationSettings(source=source)) == [Path("/p"), Path("/q")]


@pytest.mark.parametrize(
    ("stack", "message", "place"),
    [
        (
            ['  File "/p/defs.py", line 3, in f\n', '  File "/v/lib/python3.11/site-packages/a.py", line 9\n'],
            "",
            "/p/defs.py:3",
        ),
        ([], 'invalid syntax\n  File "/p/defs.py", line 7', "/p/defs.py:7"),
        (['  File "<frozen importlib._bootstrap>", line 1, in f\n'], "", ""),
    ],
)
def test_a_failure_is_placed_where_the_users_own_code_raised_it(stack: list[str], message: str, place: str) -> None:
    caused = Failure(error_class="DagsterImportError", cause=Failure(stack=stack, message=message))
    assert failure_place(caused) == place
