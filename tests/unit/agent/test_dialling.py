"""A code server's socket is called as it lies there: what user code puts in its place leads nowhere else."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from isthmus_agent.code_server.dialling import open_socket


@pytest.fixture
def listening(short_path: Path) -> Iterator[Path]:
    path = short_path / "io" / "sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield path


def test_a_socket_is_called_through_its_opening(listening: Path) -> None:
    opening = open_socket(f"unix:{listening}")
    assert opening is not None
    # Even if a link to another socket takes its place meanwhile.
    listening.rename(listening.with_name("moved"))
    listening.symlink_to("/nowhere/docker.sock")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(opening.address.removeprefix("unix:"))
    opening.close()


def test_a_link_in_its_place_is_not_followed(listening: Path) -> None:
    link = listening.with_name("link")
    link.symlink_to(listening)
    assert open_socket(f"unix:{link}") is None


def test_a_link_in_its_folders_place_is_not_followed(listening: Path) -> None:
    folder = listening.parent.with_name("elsewhere")
    folder.symlink_to(listening.parent)
    assert open_socket(f"unix:{folder / 'sock'}") is None


def test_what_is_no_socket_is_not_called(listening: Path) -> None:
    file = listening.with_name("file")
    file.touch()
    assert open_socket(f"unix:{file}") is None
    assert open_socket(f"unix:{listening.with_name('missing')}") is None
