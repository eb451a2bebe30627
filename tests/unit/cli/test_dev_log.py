"""The log of `isthmus dev`: bounded, begun anew, and nothing ends with it."""

import logging
from pathlib import Path

import pytest
from isthmus_dev.log import KEPT_LOGS, LogFile


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("isthmus", logging.INFO, "", 0, text, None, None)


def test_it_stays_below_its_bound(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "isthmus.log", max_bytes=1000)
    for number in range(500):
        log.emit(record(f"line {number} {'x' * 50}"))
    log.close()
    files = list(tmp_path.iterdir())
    assert len(files) == KEPT_LOGS + 1
    assert sum(file.stat().st_size for file in files) <= 1000 * (KEPT_LOGS + 1)
    assert "line 499" in (tmp_path / "isthmus.log").read_text()


def test_each_start_begins_a_new_file_and_keeps_the_last_one(tmp_path: Path) -> None:
    for text in ("first", "second"):
        log = LogFile(tmp_path / "isthmus.log")
        log.emit(record(text))
        log.close()
    assert (tmp_path / "isthmus.log").read_text() == "second\n"
    assert (tmp_path / "isthmus.log.1").read_text() == "first\n"


def test_a_full_disk_is_told_once_and_raises_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "isthmus.log").symlink_to("/dev/full")
    log = LogFile(tmp_path / "isthmus.log")
    for number in range(2000):
        log.emit(record(f"line {number} {'x' * 50}"))
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "cannot be written: No space left on device" in told
    log.close()


def test_a_folder_that_went_away_is_told_and_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    log = LogFile(folder / "isthmus.log", max_bytes=200)
    log.emit(record("x" * 150))
    (folder / "isthmus.log").unlink()
    folder.rmdir()
    for _ in range(3):
        log.emit(record("y" * 150))
    assert capsys.readouterr().err.count("cannot be written") == 1
    folder.mkdir()
    log.emit(record("z" * 150))
    log.close()
    assert "zzz" in (folder / "isthmus.log").read_text()
