"""An agent begins, and serves what is whole, whatever lies where it keeps its files."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from isthmus.v1 import instruction_pb2 as instruction
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_agent import data_dir
from isthmus_agent.attempts.ledger import AttemptLedger, Holding
from isthmus_agent.attempts.tombstones import Tombstones
from isthmus_agent.attempts.upkeep import Upkeep, old_attempts, remove_attempts
from isthmus_agent.failure import FailureNote
from isthmus_agent.hosts.process.record import load_record
from isthmus_agent.hosts.server_folder import read_tail
from isthmus_agent.instructions import fence
from isthmus_agent.instructions.launch_failure import canceled
from isthmus_agent.intake.journal import IntakeJournal
from isthmus_agent.locations.desired import DesiredFile
from isthmus_agent.run_key import RunKey
from isthmus_spool.attempt_folder import AttemptFolder
from pydantic import TypeAdapter
from support.odd_file import ODDITIES, put_oddity

HELD = Holding("r", 1, "sales", server="sales-g1-x", incarnation="life")
TERMINATE = instruction.Instruction(id="i", deployment="d", agent="a", terminate_run=instruction.TerminateRun())


def ledger(folder: Path, spoil: Callable[[Path], object]) -> None:
    AttemptLedger(folder).put(HELD)
    spoil(folder / "b.1.json")
    spoil(folder / "c.1.json.new")
    assert AttemptLedger(folder).all() == (HELD,)


def tombstones(folder: Path, spoil: Callable[[Path], object]) -> None:
    kept = Tombstones(folder)
    spoil(folder / "a.1")
    (folder / "c.1").touch()
    for path in (folder / "a.1", folder / "c.1"):
        os.utime(path, (1, 1), follow_symlinks=False)
    kept.sweep()
    assert not kept.has(RunKey("c", 1))


def desired(folder: Path, spoil: Callable[[Path], object]) -> None:
    spoil(folder / "desired.binpb")
    spoil(folder / "desired.binpb.new")
    kept = DesiredFile(folder / "desired.binpb")
    assert kept.load() == instruction.SyncLocations()
    kept.save(instruction.SyncLocations(revision=7))
    assert kept.load().revision == 7


def folder_id(folder: Path, spoil: Callable[[Path], object]) -> None:
    spoil(folder / "folder-id")
    found = data_dir.folder_id(folder)
    assert telemetry.AgentHeartbeat(folder_id=found).folder_id
    assert data_dir.folder_id(folder) == found


def intake(folder: Path, spoil: Callable[[Path], object]) -> None:
    for name in (f"{1:016d}.journal", "5.binpb", "6.binpb.new"):
        spoil(folder / name)
    first = IntakeJournal(folder)
    first.put(TERMINATE)
    first.close()
    again = IntakeJournal(folder)
    assert [again.read(entry) for entry in again.all()] == [TERMINATE]
    again.close()


def server_record(folder: Path, spoil: Callable[[Path], object]) -> None:
    spoil(folder / "record.json")
    assert load_record(folder) is None


def server_output(folder: Path, spoil: Callable[[Path], object]) -> None:
    spoil(folder / "output.log")
    assert "somebody" not in read_tail(folder / "output.log", max_bytes=100)


def fenced(folder: Path, spoil: Callable[[Path], object]) -> None:
    # The folder of an attempt is open to what is in containers.
    attempt = AttemptFolder.for_run(folder, HELD.key.to_proto())
    attempt.claim()
    spoil(attempt.path / "fenced")
    is_fenced = fence.is_fenced(attempt)
    assert (fence.outcome_of(attempt) is not None) is is_fenced
    if not is_fenced:
        with pytest.raises(OSError, match=r"No such file|Is a directory"):
            fence.write(attempt, canceled())


PLACES = (ledger, tombstones, desired, folder_id, intake, server_record, server_output, fenced)


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff\xfe{" * 3)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("oddity", [*ODDITIES, "garbage"])
def test_one_bad_file_costs_nothing_beside_it(
    tmp_path: Path, place: Callable[[Path, Callable[[Path], object]], None], oddity: str
) -> None:
    place(tmp_path, garbage if oddity == "garbage" else lambda path: put_oddity(path, oddity))
    elsewhere = tmp_path / "elsewhere"
    assert not elsewhere.exists() or elsewhere.read_text() == "of somebody else"


@pytest.mark.parametrize(
    ("name", "value"), [("run_id", "../../r"), ("attempt", 2**32), ("attempt", -1), ("location", "x" * 300)]
)
def test_an_entry_of_the_ledger_that_names_no_attempt_is_passed_over(
    tmp_path: Path, name: str, value: str | int
) -> None:
    fields = {"run_id": "b", "attempt": 1, "location": "sales", "server": "s", "incarnation": "life", name: value}
    odd = Holding(**fields)  # type: ignore[arg-type] # the types of one that is whole
    AttemptLedger(tmp_path).put(HELD)
    (tmp_path / "b.1.json").write_bytes(TypeAdapter(Holding).dump_json(odd))
    assert AttemptLedger(tmp_path).all() == (HELD,)


async def test_what_cannot_be_tidied_keeps_nothing_else_from_being_tidied(tmp_path: Path) -> None:
    kept, runs = AttemptLedger(tmp_path / "attempts"), tmp_path / "runs"
    kept.put(HELD)
    AttemptFolder.for_run(runs / "sales", HELD.key.to_proto()).claim()
    AttemptFolder.for_run(runs / "sales", HELD.key.to_proto()).mark_done()
    # Its entry cannot be removed.
    (tmp_path / "attempts" / "r.1.json").unlink()
    (tmp_path / "attempts" / "r.1.json" / "inner").mkdir(parents=True)
    old = AttemptFolder.for_run(runs / "sales", telemetry.RunRef(run_id="old", attempt=1))
    old.claim()
    os.utime(old.path, (1, 1))
    upkeep = Upkeep(
        ledger=kept,
        tombstones=Tombstones(tmp_path / "tombstones"),
        runs_root=runs,
        runs_dir=lambda location: runs / location,
        run_files_kept_s=86_400.0,
    )
    (tmp_path / "tombstones").rmdir()
    await upkeep.look()
    assert not old.path.exists()


def test_a_folder_that_cannot_be_looked_into_is_passed_over(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 200)
    (long / "old.1").mkdir(parents=True)
    (tmp_path / "sales" / "old.1").mkdir(parents=True)
    os.utime(tmp_path / "sales" / "old.1", (1, 1))
    found = old_attempts(tmp_path, before=time.time() - 60, held=frozenset())
    first = next(found)
    # It vanishes while its neighbours are looked at.
    for path in (long / "old.1", long):
        path.rmdir()
    paths = [path for path in (first, *found) if path is not None]
    assert paths == [tmp_path / "sales" / "old.1"]
    assert remove_attempts(paths) == 1


def test_a_failure_tells_of_a_file_whose_name_is_no_text() -> None:
    note = FailureNote.of(FileNotFoundError(2, "No such file", os.fsdecode(b"/tmp/\xff")))
    assert "udcff" in note.to_proto().message
