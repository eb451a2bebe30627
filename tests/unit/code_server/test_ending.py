"""How an attempt ended, and how it is ended."""

import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_code_server.attempts.ending import (
    UNSEEN_EXIT,
    ChildExit,
    MemoryKills,
    cancel_ladder,
    is_out_of_memory,
    signal_name,
    terminal_event,
)

KILLED = ChildExit(exit_code=None, signal=9)
EXITED = ChildExit(exit_code=3, signal=0)


@pytest.mark.parametrize(
    ("child_exit", "reason"),
    [
        (KILLED, pb.RUN_REASON_PROCESS_KILLED),
        (EXITED, pb.RUN_REASON_PROCESS_EXITED),
        (ChildExit(exit_code=0, signal=0), pb.RUN_REASON_PROCESS_EXITED),
        (UNSEEN_EXIT, pb.RUN_REASON_WORKER_LOST),
    ],
)
def test_a_process_that_left_no_word_failed(child_exit: ChildExit, reason: int) -> None:
    event = terminal_event(child_exit, cancel_reason=None)
    assert event.run_failed.reason == reason
    assert event.run_failed.HasField("exit") is child_exit.is_known
    assert event.message


@pytest.mark.parametrize("child_exit", [KILLED, EXITED, UNSEEN_EXIT])
def test_a_run_that_was_canceled_is_canceled_however_it_ended(child_exit: ChildExit) -> None:
    event = terminal_event(child_exit, cancel_reason=pb.RUN_REASON_CODE_SERVER_STOPPED)
    assert event.run_canceled.reason == pb.RUN_REASON_CODE_SERVER_STOPPED
    assert event.run_canceled.HasField("exit") is child_exit.is_known


def test_waits_status_is_read() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(5)
    assert ChildExit.from_status(os.waitpid(pid, 0)[1]) == ChildExit(exit_code=5, signal=0)


@given(st.floats(min_value=0, max_value=3600))
def test_the_ladder_takes_the_whole_grace_and_gets_rougher(grace_s: float) -> None:
    steps = cancel_ladder(grace_s)
    assert [step.signal for step in steps] == [signal.SIGINT, signal.SIGTERM]
    assert sum(step.wait_s for step in steps) == pytest.approx(grace_s)
    assert all(step.wait_s >= 0 for step in steps)


def test_an_unknown_signal_has_a_name() -> None:
    assert (signal_name(9), signal_name(250)) == ("SIGKILL", "signal 250")


@pytest.mark.parametrize(
    ("child_exit", "before", "after", "expected"),
    [
        (KILLED, MemoryKills(in_group=1), MemoryKills(in_group=2), True),
        (KILLED, MemoryKills(in_group=1), MemoryKills(in_group=1), False),
        # Somebody else's memory ran out while an operator killed this one.
        (KILLED, MemoryKills(in_group=1, in_all=5), MemoryKills(in_group=1, in_all=6), False),
        (KILLED, MemoryKills(in_all=5), MemoryKills(in_all=6), True),
        (KILLED, MemoryKills(in_all=5), MemoryKills(in_all=5), False),
        # The zygote was the victim, and took the run along.
        (UNSEEN_EXIT, MemoryKills(in_group=1), MemoryKills(in_group=2), True),
        # A process that it had started was the victim; it went on, and ended by itself.
        (EXITED, MemoryKills(in_group=1), MemoryKills(in_group=2), False),
        (ChildExit(exit_code=None, signal=15), MemoryKills(in_group=1), MemoryKills(in_group=2), False),
    ],
)
def test_when_memory_is_to_blame(
    *, child_exit: ChildExit, before: MemoryKills, after: MemoryKills, expected: bool
) -> None:
    assert is_out_of_memory(child_exit, before=before, after=after) is expected


def test_a_run_out_of_memory_says_so() -> None:
    event = terminal_event(KILLED, cancel_reason=None, is_out_of_memory=True)
    assert event.run_failed.reason == pb.RUN_REASON_OUT_OF_MEMORY
    assert event.run_failed.exit.is_out_of_memory
    assert "memory" in event.message
