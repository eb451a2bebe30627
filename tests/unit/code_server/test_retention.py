"""What is over keeps its logs for a while; what is not over keeps everything."""

import os
from pathlib import Path

from isthmus.v1.telemetry_pb2 import RunRef
from isthmus_code_server.runs.retention import drop_journal, prune
from isthmus_spool.attempt_folder import AttemptFolder


def attempt(runs_dir: Path, number: int, *, is_done: bool) -> AttemptFolder:
    folder = AttemptFolder.for_run(runs_dir, RunRef(run_id=f"r{number}", attempt=1))
    folder.claim()
    folder.journal.write_bytes(b"events")
    folder.stdout.write_text("output")
    if is_done:
        folder.mark_done()
    os.utime(folder.path, (number, number))
    return folder


def test_the_journal_of_a_done_attempt_goes_and_its_output_stays(tmp_path: Path) -> None:
    done, going = attempt(tmp_path, 1, is_done=True), attempt(tmp_path, 2, is_done=False)
    for folder in (done, going):
        drop_journal(folder)
    assert (done.journal.exists(), done.stdout.exists()) == (False, True)
    assert going.journal.exists()


def test_only_the_oldest_that_are_over_are_pruned(tmp_path: Path) -> None:
    folders = [attempt(tmp_path, number, is_done=number != 1) for number in range(6)]
    pruned = prune(tmp_path, kept=3)
    assert {folder.run_id for folder in pruned} == {"r0", "r2"}
    assert [folder.path.exists() for folder in folders] == [False, True, False, True, True, True]


def test_what_is_young_stays_though_it_is_much(tmp_path: Path) -> None:
    folders = [attempt(tmp_path, number, is_done=True) for number in range(4)]
    os.utime(folders[3].path)
    os.utime(folders[2].path)
    assert {folder.run_id for folder in prune(tmp_path, kept=0, kept_s=3600)} == {"r0", "r1"}


def test_nothing_to_prune_is_fine(tmp_path: Path) -> None:
    assert prune(tmp_path / "nowhere") == []
