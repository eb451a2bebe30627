"""The file that says that an attempt is to end, and what user code may put in its place."""

from pathlib import Path

import pytest
from isthmus.v1.telemetry_pb2 import RunReason, RunRef
from isthmus_code_server.attempts.cancel_marker import cancel_reason, request_cancel
from isthmus_spool.attempt_folder import AttemptFolder
from support.odd_file import ODDITIES, put_oddity


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    folder = AttemptFolder.for_run(tmp_path, RunRef(run_id="r", attempt=1))
    folder.claim()
    return folder


def test_the_first_reason_stands(folder: AttemptFolder) -> None:
    assert cancel_reason(folder) is None
    request_cancel(folder, reason=RunReason.RUN_REASON_CODE_SERVER_STOPPED)
    request_cancel(folder, reason=RunReason.RUN_REASON_CANCELED_BY_REQUEST)
    assert cancel_reason(folder) == RunReason.RUN_REASON_CODE_SERVER_STOPPED


@pytest.mark.parametrize("text", [b"", b"RUN_REASON_OF_ANOTHER_RELEASE", b"\xff\xfe", b"\0" * 100_000])
def test_who_asked_without_a_reason_that_we_know_asked_all_the_same(folder: AttemptFolder, text: bytes) -> None:
    (folder.path / "cancel").write_bytes(text)
    assert cancel_reason(folder) == RunReason.RUN_REASON_CANCELED_BY_REQUEST


@pytest.mark.parametrize("oddity", ODDITIES)
def test_what_is_no_file_asks_for_nothing_and_keeps_nobody_waiting(folder: AttemptFolder, oddity: str) -> None:
    put_oddity(folder.path / "cancel", oddity)
    assert cancel_reason(folder) is None
    request_cancel(folder, reason=RunReason.RUN_REASON_CODE_SERVER_STOPPED)
