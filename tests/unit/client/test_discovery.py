"""Where the control plane is, and which token it asks for, when nobody says."""

import json
import os
from pathlib import Path

import pytest
from isthmus_client.announcement import Announcement, announcement_file, canonical, servers_folder, sweep
from isthmus_client.discovery import DEFAULT_ADDRESS, FoundToken, find_server, find_token
from isthmus_client.errors import TokenError

TOKEN, OTHER = "the-token-of-this-one", "the-token-of-another"
DEAD = 2**22 + 1


def announce(folder: Path, *, address: str, pid: int = 0, token: str = "") -> None:
    state = folder / ".isthmus"
    state.mkdir(parents=True)
    if token:
        (state / "api-token").write_text(token)
    Announcement(address, pid or os.getpid(), state / "api-token" if token else None).write(state / "server.json")


def test_the_option_comes_first_then_the_environment_then_a_running_dev(tmp_path: Path) -> None:
    announce(tmp_path, address="dev:1")
    environ = {"ISTHMUS_SERVER": "env:1"}
    assert find_server("option:1", environ=environ, folder=tmp_path) == "option:1"
    assert find_server(None, environ=environ, folder=tmp_path) == "env:1"
    assert find_server(None, environ={}, folder=tmp_path / "deep" / "below") == "dev:1"


def test_the_nearest_running_dev_wins_and_a_dead_one_says_nothing(tmp_path: Path) -> None:
    announce(tmp_path, address="outer:1")
    announce(tmp_path / "inner", address="inner:1")
    announce(tmp_path / "inner" / "dead", address="dead:1", pid=DEAD)
    assert find_server(None, environ={}, folder=tmp_path / "inner" / "dead") == "inner:1"


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"pid": 1}', '{"address": "x:1", "pid": "many"}'])
def test_a_file_that_makes_no_sense_is_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / ".isthmus").mkdir()
    (tmp_path / ".isthmus" / "server.json").write_text(content)
    assert find_server(None, environ={}, folder=tmp_path) == DEFAULT_ADDRESS


def test_the_token_comes_from_the_environment_then_from_a_file_that_it_names(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{OTHER}\n")
    environ = {"ISTHMUS_API_TOKEN": TOKEN, "ISTHMUS_API_TOKEN_FILE": str(file)}
    assert find_token("any:1", environ=environ, folder=tmp_path) == FoundToken(TOKEN, "ISTHMUS_API_TOKEN")
    del environ["ISTHMUS_API_TOKEN"]
    found = find_token("any:1", environ=environ, folder=tmp_path)
    assert found is not None
    assert (found.value, str(file) in found.source) == (OTHER, True)


def test_a_token_of_dev_goes_to_the_address_of_that_dev_alone(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path / "state")}
    announce(tmp_path, address="127.0.0.1:7070", token=TOKEN)
    found = find_token("localhost:7070", environ=environ, folder=tmp_path / "below")
    assert (found and found.value) == TOKEN
    for address in ("127.0.0.1:7071", "control-plane.example:7070"):
        assert find_token(address, environ=environ, folder=tmp_path) is None


def test_a_token_is_found_by_its_address_from_anywhere(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path / "state")}
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    place = announcement_file("0.0.0.0:7070", environ=environ)
    Announcement("0.0.0.0:7070", os.getpid(), token_file).write(place)
    found = find_token("127.0.0.1:7070", environ=environ, folder=tmp_path)
    assert (found and found.value) == TOKEN
    assert place.stat().st_mode & 0o077 == 0


def test_a_token_is_not_sent_to_whoever_listens_where_a_dead_one_did(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path / "state")}
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    Announcement("127.0.0.1:7070", DEAD, token_file).write(announcement_file("127.0.0.1:7070", environ=environ))
    announce(tmp_path, address="127.0.0.1:7070", pid=DEAD, token=TOKEN)
    assert find_token("127.0.0.1:7070", environ=environ, folder=tmp_path) is None


@pytest.mark.parametrize("token", ["", "short", "two words of a token"])
def test_a_named_token_that_is_none_is_told(tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token)
    with pytest.raises(TokenError, match="not usable"):
        find_token("any:1", environ={"ISTHMUS_API_TOKEN_FILE": str(tmp_path / "token")}, folder=tmp_path)
    with pytest.raises(TokenError, match="cannot be read"):
        find_token("any:1", environ={"ISTHMUS_API_TOKEN_FILE": str(tmp_path / "none")}, folder=tmp_path)


def test_a_found_token_is_not_in_its_own_repr() -> None:
    assert TOKEN not in repr(FoundToken(TOKEN, "somewhere"))


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("localhost:7070", "127.0.0.1:7070"),
        ("[::1]:7070", "127.0.0.1:7070"),
        ("0.0.0.0:7070", "127.0.0.1:7070"),
        ("host.example:7070", "host.example:7070"),
        ("unix:/run/isthmus.sock", "unix:/run/isthmus.sock"),
    ],
)
def test_names_of_this_machine_are_one(address: str, name: str) -> None:
    assert canonical(address) == name


def test_what_dead_ones_left_is_swept_and_what_lives_stays(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    for port, pid in ((1, os.getpid()), (2, DEAD), (3, DEAD)):
        place = announcement_file(f"127.0.0.1:{port}", environ=environ)
        Announcement(f"127.0.0.1:{port}", pid, place.with_suffix(".token")).write(place)
        place.with_suffix(".token").write_text(json.dumps(port))
    folder = servers_folder(environ)
    (folder / "127.0.0.1%3A4.token").touch()
    sweep(folder, keeping=announcement_file("127.0.0.1:3", environ=environ))
    assert {path.name for path in folder.iterdir()} == {
        f"127.0.0.1%3A{port}.{kind}" for port in (1, 3) for kind in ("json", "token")
    }
