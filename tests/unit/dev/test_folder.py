"""A data folder that cannot be used is refused before anything starts, with the file that is in the way."""

from pathlib import Path

import pytest
from isthmus_dev.errors import DevError
from isthmus_dev.folder import DataFolder


@pytest.mark.parametrize(
    ("in_the_way", "is_folder", "why"),
    [
        ("", False, "a file is in its place"),
        ("log", False, "a file is in its place"),
        ("isthmus.db", True, "it is a folder"),
        ("dev.lock", True, "it is a folder"),
    ],
)
def test_what_is_in_the_way_is_named(tmp_path: Path, in_the_way: str, why: str, *, is_folder: bool) -> None:
    folder = tmp_path / "data"
    there = folder / in_the_way
    there.parent.mkdir(parents=True, exist_ok=True)
    if is_folder:
        there.mkdir()
    else:
        there.touch()
    with pytest.raises(DevError) as caught, DataFolder(folder).owned():
        pass
    assert str(caught.value) == f"{there} cannot be used: {why}."
    assert "--data-dir" in caught.value.remedy
