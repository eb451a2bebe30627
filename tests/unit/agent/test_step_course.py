"""Which part of a run's output is one step's."""

from pathlib import Path

from isthmus.v1.instruction_pb2 import LogCursor
from isthmus.v1.telemetry_pb2 import (
    LOG_STREAM_STDOUT,
    Event,
    LogOffsets,
    StepFailed,
    StepRestarted,
    StepStarted,
    StepSucceeded,
    StepUpForRetry,
)
from isthmus_agent.instructions.step_course import StepCourse, read_step
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.journal import JournalWriter
from isthmus_spool.step_output import course_journal, make_step_output


def at(stdout: int, *, is_own_file: bool = False) -> LogOffsets:
    return LogOffsets(stdout=stdout, is_own_file=is_own_file)


def attempt(tmp_path: Path, *events: Event, output: bytes = b"") -> AttemptFolder:
    folder = AttemptFolder(tmp_path / "run.1", "run", 1)
    folder.claim()
    add(folder, *events)
    folder.stdout.write_bytes(output)
    return folder


def add(folder: AttemptFolder, *events: Event) -> None:
    journal = JournalWriter(course_journal(folder))
    for event in events:
        journal.append(event)
    journal.close()


def read(folder: AttemptFolder, course: StepCourse, *, after: int = 0) -> tuple[list[tuple[int, bytes]], bool]:
    course.read(folder)
    cursors = [LogCursor(stream=LOG_STREAM_STDOUT, offset=after)]
    told = read_step(folder, course, cursors=cursors, max_bytes=1000)
    return [(chunk.offset, chunk.data) for chunk in told.chunks], told.is_whole


def test_each_try_of_a_step_is_told_and_what_lies_between_is_not(tmp_path: Path) -> None:
    folder = attempt(
        tmp_path,
        Event(step_key="a", step_started=StepStarted(log_offsets=at(2))),
        Event(step_key="a", step_up_for_retry=StepUpForRetry(log_offsets=at(4))),
        Event(step_key="b", step_started=StepStarted(log_offsets=at(4))),
        Event(step_key="b", step_failed=StepFailed(log_offsets=at(6))),
        Event(step_key="a", step_restarted=StepRestarted(log_offsets=at(6))),
        Event(step_key="a", step_succeeded=StepSucceeded(log_offsets=at(8))),
        output=b"--a1b1a2--",
    )
    course = StepCourse("a")
    assert read(folder, course) == ([(2, b"a1")], False)
    assert read(folder, course, after=4) == ([(6, b"a2")], True)
    assert read(folder, course, after=8) == ([], True)
    assert course.is_over


def test_the_next_steps_output_is_not_taken_for_that_of_a_step_that_has_just_ended(tmp_path: Path) -> None:
    folder = attempt(tmp_path, Event(step_key="a", step_started=StepStarted(log_offsets=at(0))), output=b"a1")
    course = StepCourse("a")
    assert read(folder, course) == ([(0, b"a1")], True)
    add(folder, Event(step_key="a", step_succeeded=StepSucceeded(log_offsets=at(4))))
    folder.stdout.write_bytes(b"a1a2b1")
    told = read_step(folder, course, cursors=[LogCursor(stream=LOG_STREAM_STDOUT, offset=2)], max_bytes=1000)
    assert [(chunk.offset, chunk.data) for chunk in told.chunks] == [(2, b"a2")]
    assert course.is_over


def test_a_step_with_files_of_its_own_is_read_from_them_alone(tmp_path: Path) -> None:
    folder = attempt(
        tmp_path,
        Event(step_key="a", step_started=StepStarted(log_offsets=at(0, is_own_file=True))),
        output=b"of the run",
    )
    make_step_output(folder, "a").stdout.write_bytes(b"of a")
    assert read(folder, StepCourse("a")) == ([(0, b"of a")], True)


def test_a_step_that_is_not_there_is_told_from_those_that_are(tmp_path: Path) -> None:
    folder = attempt(tmp_path, Event(step_key="a", step_started=StepStarted(log_offsets=at(0))), output=b"a1")
    course = StepCourse("c")
    assert read(folder, course) == ([], True)
    assert not course.is_known
    assert course.seen == {"a"}
