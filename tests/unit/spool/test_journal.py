"""The journal: what was appended is read, whatever happened to the writer."""

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.v1.telemetry_pb2 import Event, RunRef, RunSucceeded
from isthmus_spool.attempt_folder import AttemptFolder, later_attempt, list_attempts
from isthmus_spool.backlog import JournalBacklog
from isthmus_spool.errors import JournalError
from isthmus_spool.journal import JournalReader, JournalWriter, Repair, repair
from support.small_disk import small_disk


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


def test_what_is_whole_before_damage_is_read_first(path: Path) -> None:
    write(path, "a", "b")
    good = path.stat().st_size
    with path.open("ab") as file:
        # A record of four bytes that are no event.
        file.write(b"\0\0\0\4\xff\xff\xff\xff")
    write(path, "hidden")
    reader = JournalReader(path)
    assert messages(reader) == ["a", "b"]
    with pytest.raises(JournalError, match=f"byte {good}.*record 3"):
        reader.read()


@given(st.binary(min_size=1, max_size=64), st.integers(min_value=0, max_value=3))
def test_repair_cuts_off_whatever_is_no_event_and_keeps_what_is_before_it(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, before: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "events.journal"
    written = [str(number) for number in range(before)]
    write(path, *written)
    with path.open("ab") as file:
        file.write(noise)
    repair(path)
    write(path, "the end")
    reader = JournalReader(path)
    told = [message for batch in iter(lambda: messages(reader), []) for message in batch]
    # Noise may happen to be records of events that say nothing.
    assert told[:before] == written
    assert told[-1] == "the end"


def test_repair_tells_of_damage_and_of_the_last_event(path: Path) -> None:
    write(path, "a", "b")
    assert repair(path) == Repair(last=Event(message="b", seq=2))
    with path.open("ab") as file:
        file.write(b"\xff" * 12)
    found = repair(path)
    assert (found.cut_bytes, found.last) == (12, Event(message="b", seq=2))
    assert "4294967295 bytes" in found.damage
    assert repair(path.with_name("missing")) == Repair()


def test_a_record_that_does_not_fit_on_the_disk_is_taken_back_and_hides_nothing_after_it(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size="16k") as disk:
        path = disk.path / "events.journal"
        writer = JournalWriter(path)
        writer.append(Event(message="a"))
        disk.fill()
        whole = path.stat().st_size
        with pytest.raises(OSError, match="No space left") as caught:
            writer.append(Event(message="x" * 10_000))
        assert caught.value.errno == errno.ENOSPC
        assert path.stat().st_size == whole
        disk.empty()
        writer.append(Event(message="b"))
        writer.close()
        assert messages(JournalReader(path)) == ["a", "b"]


def test_processes_that_append_to_one_journal_on_a_full_disk_tear_nothing_of_each_other(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size="256k") as disk:
        path = disk.path / "events.journal"
        writer = JournalWriter(path)
        children = [_fork(lambda: _append_all(writer, 60)) for _ in range(4)]
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 4
        assert path.stat().st_size > 200 * 1024
        assert repair(path).cut_bytes == 0


def _append_all(writer: JournalWriter, count: int) -> None:
    for _ in range(count):
        with suppress(OSError):
            writer.append(Event(message="x" * 3001))


def _fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        with suppress(BaseException):
            work()
            code = 0
        os._exit(code)
    return pid


def test_marks_that_do_not_fit_on_the_disk_are_left_out_and_lose_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size="16k") as disk:
        folder = AttemptFolder.for_run(disk.path, RunRef(run_id="r", attempt=1))
        folder.claim()
        write(folder.journal, "a", "b")
        disk.fill()
        backlog = JournalBacklog(folder)
        assert [event.message for event in backlog.take()] == ["a", "b"]
        backlog.confirm()
        assert backlog.take() == ()
        backlog.complete()
        assert folder.published() == (0, 0)


def test_a_backlog_that_holds_the_end_gives_it_once_it_is_released_and_amended(tmp_path: Path) -> None:
    folder = AttemptFolder.for_run(tmp_path, RunRef(run_id="r", attempt=1))
    folder.claim()
    write(folder.journal, "a")
    writer = JournalWriter(folder.journal)
    writer.append(Event(run_succeeded=RunSucceeded()))
    writer.close()
    backlog = JournalBacklog(folder, holds_end=True)
    assert [event.message for event in backlog.take()] == ["a"]
    assert backlog.is_ending
    backlog.confirm()
    assert backlog.take() == ()
    backlog.release_end(lambda event: event.MergeFrom(Event(message="amended")))
    assert [(event.seq, event.message) for event in backlog.take()] == [(2, "amended")]
    assert not backlog.is_ending


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


def test_the_journal_of_a_done_attempt_goes_and_its_output_stays(tmp_path: Path) -> None:
    done, going = (AttemptFolder.for_run(tmp_path, RunRef(run_id=name, attempt=1)) for name in ("done", "going"))
    for folder in (done, going):
        folder.claim()
        write(folder.journal, "a")
        folder.stdout.write_text("output")
    done.mark_done()
    for folder in (done, going):
        folder.drop_journal()
    assert (done.journal.exists(), done.stdout.exists()) == (False, True)
    assert going.journal.exists()


def test_a_later_attempt_is_found_among_a_hundred_thousand_folders_in_a_moment(tmp_path: Path) -> None:
    folders = [AttemptFolder(tmp_path / f"other{number}.1", f"other{number}", 1) for number in range(100_000)]
    for folder in folders:
        folder.path.mkdir()
    first, fourth = (AttemptFolder.for_run(tmp_path, RunRef(run_id="r", attempt=attempt)) for attempt in (1, 4))
    fourth.claim()
    spent = []
    for _ in range(20):
        began = time.perf_counter()
        assert later_attempt(first) == 4
        assert later_attempt(fourth) is None
        spent.append(time.perf_counter() - began)
    # The best of several: a busy machine takes its time now and then.
    assert min(spent) < 0.001


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
