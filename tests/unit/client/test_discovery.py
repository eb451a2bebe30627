"""Where the control plane is, when nobody says."""

import json
import os
from pathlib import Path

import pytest
from isthmus_client.discovery import DEFAULT_ADDRESS, find_server


def announce(folder: Path, *, address: str, pid: int) -> None:
    (folder / ".isthmus").mkdir(parents=True)
    (folder / ".isthmus" / "server.json").write_text(json.dumps({"address": address, "pid": pid}))


def test_the_option_comes_first_then_the_environment_then_a_running_dev(tmp_path: Path) -> None:
    announce(tmp_path, address="dev:1", pid=os.getpid())
    environ = {"ISTHMUS_SERVER": "env:1"}
    assert find_server("option:1", environ=environ, folder=tmp_path) == "option:1"
    assert find_server(None, environ=environ, folder=tmp_path) == "env:1"
    assert find_server(None, environ={}, folder=tmp_path / "deep" / "below") == "dev:1"


def test_the_nearest_running_dev_wins_and_a_dead_one_says_nothing(tmp_path: Path) -> None:
    announce(tmp_path, address="outer:1", pid=os.getpid())
    announce(tmp_path / "inner", address="inner:1", pid=os.getpid())
    announce(tmp_path / "inner" / "dead", address="dead:1", pid=2**22 + 1)
    assert find_server(None, environ={}, folder=tmp_path / "inner" / "dead") == "inner:1"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"address": "x:1", "pid": "many"}'])
def test_a_file_that_makes_no_sense_is_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / ".isthmus").mkdir()
    (tmp_path / ".isthmus" / "server.json").write_text(content)
    assert find_server(None, environ={}, folder=tmp_path) == DEFAULT_ADDRESS
