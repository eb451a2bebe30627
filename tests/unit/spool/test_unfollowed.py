"""What user code puts where its attempt lies leads nobody elsewhere."""

import os
from pathlib import Path

import pytest
from isthmus.v1.instruction_pb2 import LogCursor
from isthmus.v1.telemetry_pb2 import LOG_STREAM_STDOUT, Event, RunRef
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.journal import JournalReader, JournalWriter, repair
from isthmus_spool.output import read_output
from isthmus_spool.step_output import make_step_output
from isthmus_spool.unfollowed import open_unfollowed

RUN = RunRef(run_id="run", attempt=1)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("a secret of someone else's")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    folder = AttemptFolder.for_run(tmp_path / "runs" / "sales", RUN)
    folder.claim()
    return folder


def said(folder: AttemptFolder, *, step_key: str = "") -> bytes:
    cursor = LogCursor(stream=LOG_STREAM_STDOUT, step_key=step_key)
    read = read_output(folder, cursors=[cursor], has_all_steps=True, max_bytes=1000)
    return b"".join(chunk.data for chunk in read.chunks)


def test_a_link_in_place_of_output_shows_nothing(folder: AttemptFolder, secret: Path) -> None:
    folder.stdout.write_text("said")
    assert said(folder) == b"said"
    folder.stdout.unlink()
    folder.stdout.symlink_to(secret)
    assert said(folder) == b""


def test_a_link_in_place_of_the_steps_folder_shows_nothing(folder: AttemptFolder, tmp_path: Path) -> None:
    make_step_output(folder, "load").stdout.write_text("said")
    assert said(folder, step_key="load") == b"said"
    (folder.path / "steps").rename(tmp_path / "elsewhere")
    (folder.path / "steps").symlink_to(tmp_path / "elsewhere")
    assert said(folder, step_key="load") == b""


def test_a_link_in_place_of_the_attempts_folder_shows_nothing(folder: AttemptFolder, tmp_path: Path) -> None:
    folder.stdout.write_text("said")
    folder.path.rename(tmp_path / "elsewhere")
    folder.path.symlink_to(tmp_path / "elsewhere")
    assert said(folder) == b""
    with pytest.raises(FileNotFoundError):
        folder.mark_published(offset=1, seq=1)


def test_a_link_in_place_of_the_journal_is_neither_read_nor_written(folder: AttemptFolder, secret: Path) -> None:
    folder.journal.symlink_to(secret)
    assert JournalReader(folder.journal).read().events == ()
    repair(folder.journal)
    with pytest.raises(FileNotFoundError):
        JournalWriter(folder.journal)
    assert secret.read_text() == "a secret of someone else's"


def test_links_in_place_of_marks_are_not_written_through(folder: AttemptFolder, secret: Path) -> None:
    for name in ("published", "done"):
        (folder.path / name).symlink_to(secret)
    assert folder.published() == (0, 0)
    with pytest.raises(FileNotFoundError):
        folder.mark_published(offset=1, seq=1)
    with pytest.raises(FileNotFoundError):
        folder.mark_done()
    assert secret.read_text() == "a secret of someone else's"


def test_a_pipe_in_place_of_a_file_keeps_nobody_waiting(folder: AttemptFolder) -> None:
    os.mkfifo(folder.journal)
    assert JournalReader(folder.journal).read().events == ()
    with pytest.raises(FileNotFoundError):
        JournalWriter(folder.journal)


def test_links_above_are_the_owners_own(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    folder = AttemptFolder.for_run(tmp_path / "data" / "runs" / "sales", RUN)
    folder.claim()
    writer = JournalWriter(folder.journal)
    writer.append(Event())
    writer.close()
    assert len(JournalReader(folder.journal).read().events) == 1


def test_short_paths_are_paths_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("here", "./there"):
        os.close(open_unfollowed(path, os.O_WRONLY | os.O_CREAT))
    with pytest.raises(FileNotFoundError):
        open_unfollowed("/dev/null", os.O_RDONLY)
    assert {path.name for path in tmp_path.iterdir()} == {"here", "there"}


def test_what_is_no_step_of_the_run_keeps_no_output_from_being_read(folder: AttemptFolder) -> None:
    long_key = "s" * 300
    for step_key in ("load", long_key):
        make_step_output(folder, step_key).stdout.write_text(f"said by {step_key[:4]}")
    steps = folder.path / "steps"
    Path(os.fsdecode(os.fsencode(steps) + b"/\xff.stdout")).write_text("nobody's")
    (steps / "%ED%B3%BF.stdout").write_text("nobody's")
    next(steps.glob("*.name")).write_bytes(b"\xff" * 100)
    assert said(folder) == b"said by load"


def test_a_file_in_place_of_the_steps_folder_keeps_no_output_from_being_read(folder: AttemptFolder) -> None:
    folder.stdout.write_text("said")
    (folder.path / "steps").write_text("no folder")
    assert said(folder) == b"said"
