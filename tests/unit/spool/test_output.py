"""What is read of a run's output: by offsets, file by file, with what is missing marked."""

from pathlib import Path

from isthmus.v1.instruction_pb2 import LogCursor
from isthmus.v1.telemetry_pb2 import LOG_STREAM_STDERR, LOG_STREAM_STDOUT, LogChunk, LogGap
from isthmus_broker.log_cursors import next_cursors, starting_cursors
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.output import read_output
from isthmus_spool.step_output import list_step_outputs, make_step_output, step_output


def attempt(tmp_path: Path) -> AttemptFolder:
    folder = AttemptFolder(tmp_path / "run.1", "run", 1)
    folder.claim()
    return folder


def told(chunks: list[LogChunk]) -> list[tuple[str, int, bytes]]:
    return [(chunk.step_key, chunk.offset, chunk.data) for chunk in chunks]


def test_an_answer_takes_no_more_than_it_may_and_the_next_one_goes_on(tmp_path: Path) -> None:
    folder = attempt(tmp_path)
    folder.stdout.write_bytes(b"0123456789")
    folder.stderr.write_bytes(b"warned")
    cursors = starting_cursors([])
    first = read_output(folder, cursors=cursors, has_all_steps=True, max_bytes=8)
    assert (told(first.chunks), first.is_whole) == ([("", 0, b"01234567")], False)
    second = read_output(folder, cursors=next_cursors(cursors, first.chunks), has_all_steps=True, max_bytes=8)
    assert (told(second.chunks), second.is_whole) == ([("", 8, b"89"), ("", 0, b"warned")], True)


def test_files_of_steps_are_found_without_a_cursor(tmp_path: Path) -> None:
    folder = attempt(tmp_path)
    for key in ("load[a/b]", "report"):
        make_step_output(folder, key).stdout.write_text(f"of {key}")
    cursors = [LogCursor(stream=LOG_STREAM_STDOUT)]
    read = read_output(folder, cursors=cursors, has_all_steps=True, max_bytes=100)
    assert told(read.chunks) == [("load[a/b]", 0, b"of load[a/b]"), ("report", 0, b"of report")]
    again = read_output(folder, cursors=next_cursors(cursors, read.chunks), has_all_steps=True, max_bytes=100)
    assert (again.chunks, again.is_whole) == ([], True)
    assert not read_output(folder, cursors=cursors, has_all_steps=False, max_bytes=100).chunks


def test_a_step_with_a_name_too_long_for_a_file_is_found_again(tmp_path: Path) -> None:
    folder = attempt(tmp_path)
    keys = ["x" * 300 + "1", "x" * 300 + "2", "short~name"]
    for key in keys:
        make_step_output(folder, key).stdout.write_text(key)
    assert sorted(one.step_key for one in list_step_outputs(folder)) == sorted(keys)
    assert step_output(folder, keys[0]).stdout.read_text() == keys[0]


def test_a_file_that_was_cut_is_read_again_with_a_gap_before_it(tmp_path: Path) -> None:
    folder = attempt(tmp_path)
    folder.stderr.write_bytes(b"new")
    read = read_output(
        folder, cursors=[LogCursor(stream=LOG_STREAM_STDERR, offset=9)], has_all_steps=True, max_bytes=100
    )
    gap, data = read.chunks
    assert (gap.gap.reason, gap.gap.told_until, gap.offset) == (LogGap.REASON_TRUNCATED, 9, 0)
    assert (data.offset, data.data) == (0, b"new")


def test_what_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    read = read_output(attempt(tmp_path), cursors=starting_cursors([]), has_all_steps=True, max_bytes=100)
    assert (read.chunks, read.is_whole) == ([], True)
