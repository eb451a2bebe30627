"""The agent's folder is its own."""

from pathlib import Path

from isthmus_agent import data_dir


def test_a_folder_that_was_open_to_others_is_closed_before_anything_is_made_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    with data_dir.claimed(folder) as claimed:
        assert claimed.stat().st_mode & 0o777 == 0o700
