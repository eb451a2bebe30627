"""Without a control plane a command fails at once, and tells where it looked and what to do."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.cli.conftest import Outcome


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port on which nobody listens while the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def run_list(folder: Path, *, before: str = ":", **environment: str) -> Outcome:
    # The user's own control planes, and a default port on which one may listen, are no concern of the test.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("ISTHMUS_")}
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'{before}; exec "$@"', "sh", sys.executable, "-m", "isthmus_cli", "run", "list"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env={**inherited, "XDG_STATE_HOME": str(folder / "state"), **environment},
    )
    out, err = await process.communicate()
    return Outcome(code=process.returncode or 0, out=out.decode(), err=err.decode())


async def test_a_named_server_that_is_not_there_is_told_with_who_named_it(tmp_path: Path, free_port: int) -> None:
    outcome = await run_list(tmp_path, ISTHMUS_SERVER=f"127.0.0.1:{free_port}")
    assert outcome.code == 5
    assert f"No control plane answers at 127.0.0.1:{free_port}: the connection is refused." in outcome.err
    assert "The address is from ISTHMUS_SERVER." in outcome.err
    assert "isthmus dev" in outcome.err


@pytest.mark.parametrize(
    ("said", "why", "meant"),
    [
        ("foo", "it names no port", "foo:7070"),
        ("http://foo:7071/", "an address is no URL", "foo:7071"),
        (":7070", "it names no host", "HOST:7070"),
        ("foo:99999", "ports go from 1 to 65535", "foo:7070"),
        ("foo:bar", "its port is no number", "foo:7070"),
    ],
)
async def test_what_is_no_address_is_refused_with_the_right_form(
    tmp_path: Path, said: str, why: str, meant: str
) -> None:
    outcome = await run_list(tmp_path, ISTHMUS_SERVER=said)
    assert outcome.code == 2
    assert f"ISTHMUS_SERVER {said} is not HOST:PORT: {why}." in outcome.err
    assert f"--server {meant}." in outcome.err


async def test_an_isthmus_dev_that_has_ended_is_named(tmp_path: Path, free_port: int) -> None:
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    (tmp_path / ".isthmus").mkdir()
    (tmp_path / ".isthmus" / "server.json").write_text(
        json.dumps({"address": f"127.0.0.1:{free_port}", "pid": ended.pid, "token_file": None})
    )
    below = tmp_path / "below" / "it"
    below.mkdir(parents=True)
    outcome = await run_list(below)
    if outcome.code != 0:  # Somebody may listen on the default port of this machine.
        assert f"The isthmus dev of {tmp_path} has ended" in outcome.err


async def test_a_subfolder_of_a_project_finds_its_server(tmp_path: Path, free_port: int) -> None:
    (tmp_path / ".isthmus").mkdir()
    (tmp_path / ".isthmus" / "server.json").write_text(
        json.dumps({"address": f"127.0.0.1:{free_port}", "pid": os.getpid(), "token_file": None})
    )
    below = tmp_path / "below" / "it"
    below.mkdir(parents=True)
    outcome = await run_list(below)
    assert f"answers at 127.0.0.1:{free_port}" in outcome.err
    assert f"The address is from {tmp_path}/.isthmus/server.json." in outcome.err


async def test_a_current_folder_that_was_removed_is_told(tmp_path: Path) -> None:
    (folder := tmp_path / "gone").mkdir()
    outcome = await run_list(folder, before='rmdir "$PWD"')
    assert (outcome.code, outcome.err.splitlines()[0]) == (2, "Error: The current folder was removed.")
