"""The mark on an attempt that never starts: the agent claimed its folder itself, and wrote down what it answered."""

import os
from contextlib import suppress
from pathlib import Path

from google.protobuf.message import DecodeError
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.unfollowed import open_unfollowed

from isthmus_agent.failure import FailureNote
from isthmus_agent.instructions.outcome import Failed, Violation, result_of

_UNTOLD = FailureNote("LaunchFenced", "An earlier delivery of this launch failed; the attempt may not start.")


def is_fenced(folder: AttemptFolder) -> bool:
    """Return whether the agent claimed the attempt itself, so that nobody starts it."""
    try:
        os.close(open_unfollowed(str(_mark(folder)), os.O_RDONLY))
    except FileNotFoundError:
        return False
    return True


def write(folder: AttemptFolder, outcome: Failed) -> None:
    """Fence a folder that the caller has just claimed.

    Raises:
        OSError: There is no room even for an empty file; the claim is given back, as it would pass for a start.
    """
    mark = _mark(folder)
    try:
        os.close(open_unfollowed(str(mark), os.O_WRONLY | os.O_CREAT))
    except OSError:
        with suppress(OSError):
            folder.path.rmdir()
        raise
    # The mark is what counts. On a full disk its text is missing, and a redelivered launch is refused without it.
    with suppress(OSError), open(mark, "wb", opener=open_unfollowed) as file:
        file.write(result_of(outcome, instruction_id="").SerializeToString())


def outcome_of(folder: AttemptFolder) -> Failed | None:
    """Return what the launch of a fenced attempt was answered with; None if the attempt is not fenced."""
    try:
        with open(_mark(folder), "rb", opener=open_unfollowed) as file:
            told = telemetry.InstructionResult.FromString(file.read())
    except FileNotFoundError:
        return None
    except (OSError, DecodeError):
        told = telemetry.InstructionResult()
    if told.outcome != telemetry.InstructionResult.OUTCOME_FAILED:
        return Failed(telemetry.RUN_REASON_LOCATION_UNAVAILABLE, failure=_UNTOLD.to_proto())
    return Failed(
        told.reason,
        failure=told.failure if told.HasField("failure") else None,
        violations=tuple(Violation(fault.field, fault.description) for fault in told.violations),
    )


def _mark(folder: AttemptFolder) -> Path:
    return folder.path / "fenced"
