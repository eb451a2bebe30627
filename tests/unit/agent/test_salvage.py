"""How the journal of an attempt is ended whose code server is gone."""

from pathlib import Path

import pytest
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_agent.attempts.ledger import Holding
from isthmus_agent.attempts.salvage import end_journal
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.journal import JournalReader, JournalWriter

HOLDING = Holding("r", 1, "sales", server="sales-g1-x", incarnation="life")
STARTED = telemetry.Event(run_started=telemetry.RunStarted(pid=7))
SUCCEEDED = telemetry.Event(run_succeeded=telemetry.RunSucceeded())


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    folder = AttemptFolder.for_run(tmp_path, HOLDING.key.to_proto())
    folder.claim()
    return folder


def write(folder: AttemptFolder, *events: telemetry.Event) -> None:
    writer = JournalWriter(folder.journal)
    for event in events:
        writer.append(event)
    writer.close()


def bodies(folder: AttemptFolder) -> list[str | None]:
    return [event.WhichOneof("body") for event in JournalReader(folder.journal).read().events]


def test_a_last_word_is_added_once(folder: AttemptFolder) -> None:
    write(folder, STARTED)
    assert not end_journal(folder, holding=HOLDING, ending=None)
    assert bodies(folder) == ["run_started", "run_failed"]
    # The agent died before all of it was published, and does it again.
    assert end_journal(folder, holding=HOLDING, ending=None)
    assert bodies(folder) == ["run_started", "run_failed"]


def test_a_run_that_said_its_last_word_is_left_alone(folder: AttemptFolder) -> None:
    write(folder, STARTED, SUCCEEDED)
    assert end_journal(folder, holding=HOLDING, ending=None)
    assert bodies(folder) == ["run_started", "run_succeeded"]


def test_a_run_that_died_before_its_first_word_gets_a_last_one(folder: AttemptFolder) -> None:
    assert not end_journal(folder, holding=HOLDING, ending=None)
    assert bodies(folder) == ["run_failed"]


@pytest.mark.parametrize("kept_bytes", [1, 3, 5])
def test_a_word_cut_off_in_the_middle_is_replaced(folder: AttemptFolder, kept_bytes: int) -> None:
    write(folder, STARTED)
    whole = folder.journal.stat().st_size
    write(folder, SUCCEEDED)
    with folder.journal.open("r+b") as file:
        file.truncate(whole + kept_bytes)
    assert not end_journal(folder, holding=HOLDING, ending=None)
    assert bodies(folder) == ["run_started", "run_failed"]


def test_what_was_published_before_is_not_touched(folder: AttemptFolder) -> None:
    write(folder, STARTED)
    first = JournalReader(folder.journal).read()
    folder.mark_published(offset=first.offset, seq=first.seq)
    end_journal(folder, holding=HOLDING, ending=None)
    rest = JournalReader(folder.journal, offset=first.offset, seq=first.seq).read().events
    assert [(event.seq, event.WhichOneof("body")) for event in rest] == [(2, "run_failed")]


def damage(folder: AttemptFolder, *, at: int) -> None:
    with folder.journal.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 8)


def test_a_damaged_journal_ends_its_attempt_and_says_so(folder: AttemptFolder) -> None:
    write(folder, STARTED)
    whole = folder.journal.stat().st_size
    write(folder, SUCCEEDED)
    damage(folder, at=whole)
    assert not end_journal(folder, holding=HOLDING, ending=None)
    *_, last = JournalReader(folder.journal).read().events
    assert bodies(folder) == ["run_started", "run_failed"]
    assert last.run_failed.reason == telemetry.RUN_REASON_INTERNAL_ERROR
    assert "damaged" in last.run_failed.failure.message


def test_damage_in_what_was_published_hides_no_last_word(folder: AttemptFolder) -> None:
    write(folder, STARTED)
    first = JournalReader(folder.journal).read()
    folder.mark_published(offset=first.offset, seq=first.seq)
    write(folder, SUCCEEDED)
    size = folder.journal.stat().st_size
    damage(folder, at=0)
    assert end_journal(folder, holding=HOLDING, ending=None)
    assert folder.journal.stat().st_size == size
