"""A file that cannot be read is refused with its name, what is wrong with it in plain words, and what to name instead."""

from collections.abc import Callable
from pathlib import Path

import pytest
from isthmus_cli.errors import InputError
from isthmus_cli.file_fault import fault_text
from isthmus_cli.location_file import read_location_file
from isthmus_cli.project.place import Place
from isthmus_cli.project.toml_text import read_toml
from isthmus_cli.project.workspace import read_workspaces
from isthmus_cli.queue_file import read_queue_file
from isthmus_cli.run_config import read_run_config


def _read_config(path: Path) -> None:
    read_run_config(file=str(path), text=None, assignments=())


def _read_workspace(path: Path) -> None:
    read_workspaces([path], place=Place(path.parent))


@pytest.mark.parametrize("read", [_read_config, _read_workspace, read_location_file, read_queue_file, read_toml])
def test_a_file_that_cannot_be_read_is_told_without_numbers(read: Callable[[Path], object], tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, why in ((tmp_path, "it is a folder"), (binary, "it is not text in UTF-8")):
        with pytest.raises(InputError) as caught:
            read(path)
        assert f"{path} cannot be read: {why}." in str(caught.value)
        assert caught.value.remedy


def test_a_fault_without_words_of_ours_has_those_of_the_system() -> None:
    assert fault_text(OSError(110, "Connection timed out")) == "Connection timed out"
    assert fault_text(FileNotFoundError(2, "No such file or directory")) == "there is no such file or folder"
