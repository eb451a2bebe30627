"""The journal: what was appended is read, whatever happened to the writer."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.v1.telemetry_pb2 import Event, RunRef
from isthmus_spool.attempt_folder import AttemptFolder, list_attempts
from isthmus_spool.errors import JournalError
from isthmus_spool.journal import JournalReader, JournalWriter, repair


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.journal"


def write(path: Path, *messages: str) -> None:
    writer = JournalWriter(path)
    for message in messages:
        writer.append(Event(message=message))
    writer.close()


def messages(reader: JournalReader, *, max_events: int = 500, max_bytes: int = 262_144) -> list[str]:
    batch = reader.read(max_events=max_events, max_bytes=max_bytes)
    reader.advance(batch)
    return [event.message for event in batch.events]


def test_records_are_read_in_order_and_numbered_from_one(path: Path) -> None:
    write(path, "a", "b", "c")
    batch = JournalReader(path).read()
    assert [(event.seq, event.message) for event in batch.events] == [(1, "a"), (2, "b"), (3, "c")]
    assert (batch.offset, batch.seq) == (path.stat().st_size, 3)


def test_a_reader_stays_where_it_is_until_it_is_told_to_advance(path: Path) -> None:
    write(path, "a")
    reader = JournalReader(path)
    assert [event.message for event in reader.read().events] == ["a"]
    assert messages(reader) == ["a"]
    assert messages(reader) == []


def test_a_missing_journal_is_an_empty_one(path: Path) -> None:
    assert messages(JournalReader(path)) == []


def test_slices_are_bounded_and_go_on_where_the_last_ended(path: Path) -> None:
    write(path, *map(str, range(10)))
    reader = JournalReader(path)
    assert messages(reader, max_events=4) == ["0", "1", "2", "3"]
    assert messages(reader, max_events=4) == ["4", "5", "6", "7"]
    assert messages(reader, max_events=4) == ["8", "9"]


def test_a_record_larger_than_a_slice_is_read_whole(path: Path) -> None:
    write(path, "x" * 10_000, "y")
    reader = JournalReader(path)
    assert messages(reader, max_bytes=100) == ["x" * 10_000]
    assert messages(reader, max_bytes=100) == ["y"]


@given(st.lists(st.text(max_size=40), min_size=1, max_size=8), st.data())
def test_a_torn_tail_hides_no_complete_record_and_repair_makes_room_for_more(
    tmp_path_factory: pytest.TempPathFactory, written: list[str], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "events.journal"
    write(path, *written[:-1])
    complete = path.stat().st_size
    write(path, written[-1])
    cut = data.draw(st.integers(min_value=complete, max_value=path.stat().st_size - 1))
    os.truncate(path, cut)
    assert messages(JournalReader(path)) == written[:-1]
    repair(path)
    write(path, "the end")
    assert messages(JournalReader(path)) == [*written[:-1], "the end"]


def test_bytes_that_are_no_journal_are_an_error_that_names_the_place(path: Path) -> None:
    write(path, "a")
    good = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\xff" * 64)
    reader = JournalReader(path)
    assert messages(reader) == ["a"]
    with pytest.raises(JournalError, match=f"byte {good}"):
        reader.read()


def test_the_doorbell_rings_once_per_record_and_never_blocks(path: Path) -> None:
    ear, bell = os.pipe2(os.O_NONBLOCK)
    writer = JournalWriter(path, doorbell_fd=bell)
    for _ in range(70_000):
        writer.append(Event())
    assert len(os.read(ear, 100_000)) > 1000
    os.close(ear)
    writer.append(Event(message="heard by nobody, and kept"))
    writer.close()
    writer.close()
    os.close(bell)


def test_only_one_claim_of_an_attempt_succeeds(tmp_path: Path) -> None:
    folder = AttemptFolder.for_run(tmp_path / "runs", RunRef(run_id="r", attempt=2))
    assert folder.claim()
    assert not folder.claim()
    assert [(found.run_id, found.attempt) for found in list_attempts(tmp_path / "runs")] == [("r", 2)]


def test_marks_of_an_attempt_are_read_back(tmp_path: Path) -> None:
    folder = AttemptFolder.for_run(tmp_path, RunRef(run_id="r", attempt=1))
    folder.claim()
    assert folder.published() == (0, 0)
    folder.mark_published(offset=123, seq=4)
    folder.mark_published(offset=200, seq=5)
    assert folder.published() == (200, 5)
    assert not folder.is_done
    folder.mark_done()
    assert folder.is_done
