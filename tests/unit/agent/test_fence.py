"""The mark on an attempt that never starts."""

from pathlib import Path

import pytest
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_agent.instructions import fence
from isthmus_agent.instructions.launch_failure import canceled
from isthmus_agent.instructions.outcome import Failed, Violation
from isthmus_spool.attempt_folder import AttemptFolder


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    folder = AttemptFolder.for_run(tmp_path, telemetry.RunRef(run_id="r", attempt=1))
    folder.claim()
    return folder


@pytest.mark.parametrize(
    "outcome",
    [
        canceled(),
        Failed(telemetry.RUN_REASON_INVALID_REQUEST, violations=(Violation("job_name", "There is no such job."),)),
    ],
)
def test_a_fence_tells_what_was_answered(folder: AttemptFolder, outcome: Failed) -> None:
    assert not fence.is_fenced(folder)
    fence.write(folder, outcome)
    assert fence.is_fenced(folder)
    assert fence.outcome_of(folder) == outcome


@pytest.mark.parametrize("text", [b"", b"\xff\xff garbage"])
def test_a_fence_whose_text_is_lost_refuses_all_the_same(folder: AttemptFolder, text: bytes) -> None:
    (folder.path / "fenced").write_bytes(text)
    outcome = fence.outcome_of(folder)
    assert outcome is not None
    assert outcome.reason == telemetry.RUN_REASON_LOCATION_UNAVAILABLE


def test_an_attempt_that_started_is_not_fenced(folder: AttemptFolder) -> None:
    assert fence.outcome_of(folder) is None


def test_a_claim_that_could_not_be_marked_is_given_back(folder: AttemptFolder) -> None:
    # A name that leads nowhere: touching it fails, as on a full disk.
    folder.path.rmdir()
    folder.path.symlink_to("nowhere")
    with pytest.raises(OSError, match="No such file"):
        fence.write(folder, canceled())
    assert not folder.is_claimed
