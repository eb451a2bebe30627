"""A file of one's own, whatever lies in its place."""

import os
from pathlib import Path

import pytest
from isthmus_lifecycle.plain_file import make_way, open_plain, read_plain, replace_plain
from support.odd_file import ODDITIES, put_oddity


@pytest.mark.parametrize("oddity", ODDITIES)
def test_what_is_no_file_is_neither_read_nor_written(tmp_path: Path, oddity: str) -> None:
    elsewhere = put_oddity(tmp_path / "file", oddity)
    for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_CREAT):
        with pytest.raises(FileNotFoundError):
            open_plain(str(tmp_path / "file"), flags)
    with pytest.raises(FileNotFoundError):
        read_plain(tmp_path / "file")
    assert elsewhere.read_text() == "of somebody else"


@pytest.mark.parametrize("oddity", ODDITIES)
@pytest.mark.parametrize("name", ["file", "file.new"])
def test_what_is_no_file_makes_way_for_one(tmp_path: Path, oddity: str, name: str) -> None:
    elsewhere = put_oddity(tmp_path / name, oddity)
    replace_plain(tmp_path / "file", b"said", is_synced=True)
    assert read_plain(tmp_path / "file") == b"said"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "file.new").exists()
    assert elsewhere.read_text() == "of somebody else"


def test_a_file_is_replaced_and_does_not_make_way(tmp_path: Path) -> None:
    replace_plain(tmp_path / "file", b"a longer text")
    replace_plain(tmp_path / "file", b"short")
    make_way(tmp_path / "file")
    make_way(tmp_path / "none")
    assert read_plain(tmp_path / "file") == b"short"


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_plain(tmp_path / "gone" / "file", b"said")
