"""Attempts as the agent remembers them, and how one is told to have ended."""

import os
import shutil
import time
from pathlib import Path

import pytest
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_agent.attempts.closing import closing_event, has_ended
from isthmus_agent.attempts.ledger import AttemptLedger, Holding
from isthmus_agent.attempts.tombstones import MINIMUM_LIFE_S, Tombstones
from isthmus_agent.attempts.upkeep import Upkeep, old_attempts, remove_attempts
from isthmus_agent.hosts.host import Server, ServerExit
from isthmus_agent.run_key import RunKey
from isthmus_spool.attempt_folder import AttemptFolder

RUN = telemetry.RunRef(run_id="r", attempt=1)
SERVER = Server("sales-g1-x", "sales", 1, "life", "unix:/run/x.sock")
FAILED, CANCELED = "run_failed", "run_canceled"


@pytest.mark.parametrize(
    ("ending", "is_cancel_requested", "body", "reason", "signal"),
    [
        (None, False, FAILED, telemetry.RUN_REASON_WORKER_LOST, None),
        (ServerExit(SERVER), False, FAILED, telemetry.RUN_REASON_WORKER_LOST, None),
        (ServerExit(SERVER, signal=9), False, FAILED, telemetry.RUN_REASON_WORKER_LOST, 9),
        (ServerExit(SERVER, exit_code=1), False, FAILED, telemetry.RUN_REASON_WORKER_LOST, 0),
        (ServerExit(SERVER, signal=9, is_out_of_memory=True), False, FAILED, telemetry.RUN_REASON_OUT_OF_MEMORY, 9),
        (ServerExit(SERVER, signal=15), True, CANCELED, telemetry.RUN_REASON_CANCELED_BY_REQUEST, 15),
        (None, True, CANCELED, telemetry.RUN_REASON_CANCELED_BY_REQUEST, None),
    ],
)
def test_last_word(
    *, ending: ServerExit | None, is_cancel_requested: bool, body: str, reason: int, signal: int | None
) -> None:
    event = closing_event(RUN, server="sales-g1-x", ending=ending, is_cancel_requested=is_cancel_requested)
    end = getattr(event, body)
    assert event.WhichOneof("body") == body
    assert event.run == RUN
    assert end.reason == reason
    assert (end.exit.signal if end.HasField("exit") else None) == signal
    assert "sales-g1-x" in event.message
    assert has_ended([event])


OWN = Server("sales-g1-x-r1", "sales", 1, "life", "unix:/run/x.sock", slot="r1")


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (ServerExit(OWN, signal=9), telemetry.RUN_REASON_PROCESS_KILLED),
        (ServerExit(OWN, signal=9, is_out_of_memory=True), telemetry.RUN_REASON_OUT_OF_MEMORY),
        (ServerExit(OWN, exit_code=3), telemetry.RUN_REASON_PROCESS_EXITED),
        # Nobody saw how, or it had no reason to go: that says nothing of the run.
        (ServerExit(OWN), telemetry.RUN_REASON_WORKER_LOST),
        (ServerExit(OWN, exit_code=0), telemetry.RUN_REASON_WORKER_LOST),
    ],
)
def test_what_ended_a_server_of_its_own_ended_the_run(ending: ServerExit, reason: int) -> None:
    output = "".join(f"line {number}\n" for number in range(100))
    event = closing_event(RUN, server=OWN.name, ending=ending, is_cancel_requested=False, output=output)
    assert event.run_failed.reason == reason
    assert event.run_failed.exit.exit_code == (ending.exit_code or 0)
    assert event.run_failed.failure.stack[-1] == "line 99\n"
    assert len(event.run_failed.failure.stack) == 50


def test_a_shared_servers_output_is_nobodys_in_particular() -> None:
    ending = ServerExit(SERVER, signal=9)
    event = closing_event(RUN, server=SERVER.name, ending=ending, is_cancel_requested=False, output="secret\n")
    assert not event.run_failed.failure.stack


def test_an_exit_code_of_zero_is_told_too() -> None:
    event = closing_event(RUN, server="s", ending=ServerExit(SERVER, exit_code=0), is_cancel_requested=False)
    assert event.run_failed.exit.HasField("exit_code")


@pytest.mark.parametrize(
    ("event", "is_last"),
    [
        (telemetry.Event(run_started=telemetry.RunStarted()), False),
        (telemetry.Event(step_failed=telemetry.StepFailed()), False),
        (telemetry.Event(), False),
        (telemetry.Event(run_succeeded=telemetry.RunSucceeded()), True),
        (telemetry.Event(run_failed=telemetry.RunFailed()), True),
        (telemetry.Event(run_canceled=telemetry.RunCanceled()), True),
    ],
)
def test_which_events_are_last_words(*, event: telemetry.Event, is_last: bool) -> None:
    assert has_ended([telemetry.Event(), event]) is is_last


def holding(run_id: str = "r", *, incarnation: str = "life") -> Holding:
    return Holding(run_id, 1, "sales", server="sales-g1-x", incarnation=incarnation)


def test_a_ledger_survives_its_agent(tmp_path: Path) -> None:
    ledger = AttemptLedger(tmp_path)
    ledger.put(holding("a"))
    ledger.put(holding("b", incarnation="other"))
    ledger.mark_cancel_requested(RunKey("b", 1))
    ledger.put(holding("c"))
    ledger.forget(RunKey("c", 1))
    again = AttemptLedger(tmp_path)
    assert again.held_by("life") == (holding("a"),)
    assert [one.run_id for one in again.held_by("other") if one.is_cancel_requested] == ["b"]
    assert again.get(RunKey("c", 1)) is None


def test_a_torn_entry_of_the_ledger_is_left_alone(tmp_path: Path) -> None:
    AttemptLedger(tmp_path).put(holding("a"))
    (tmp_path / "b.1.json").write_text('{"run_id"')
    (tmp_path / "c.1.json.new").write_text("")
    assert AttemptLedger(tmp_path).all() == (holding("a"),)


def test_forgetting_and_marking_what_is_not_held_does_nothing(tmp_path: Path) -> None:
    ledger = AttemptLedger(tmp_path)
    ledger.forget(RunKey("a", 1))
    ledger.mark_cancel_requested(RunKey("a", 1))
    assert ledger.all() == ()


def test_a_tombstone_survives_its_agent_and_concerns_one_attempt(tmp_path: Path) -> None:
    Tombstones(tmp_path).add(RunKey("a", 1), not_before=0)
    again = Tombstones(tmp_path)
    again.sweep()
    assert again.has(RunKey("a", 1))
    assert not again.has(RunKey("a", 2))


def test_a_tombstone_is_forgotten_after_the_deadline_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.time()
    deadline = began + 10 * MINIMUM_LIFE_S
    tombstones = Tombstones(tmp_path)
    tombstones.add(RunKey("late", 1), not_before=deadline)
    tombstones.add(RunKey("soon", 1), not_before=0)
    monkeypatch.setattr(time, "time", lambda: began + 2 * MINIMUM_LIFE_S)
    tombstones.sweep()
    assert tombstones.has(RunKey("late", 1))
    assert not tombstones.has(RunKey("soon", 1))
    monkeypatch.setattr(time, "time", lambda: deadline + 1)
    tombstones.sweep()
    assert not tombstones.has(RunKey("late", 1))


def upkeep(folder: Path, *, kept_s: float, ledger: AttemptLedger | None = None) -> Upkeep:
    return Upkeep(
        ledger=ledger or AttemptLedger(folder / "attempts"),
        tombstones=Tombstones(folder / "tombstones"),
        runs_root=folder / "runs",
        runs_dir=lambda location: folder / "runs" / location,
        run_files_kept_s=kept_s,
    )


def attempt(folder: Path, name: str, *, age_s: float, location: str = "sales") -> AttemptFolder:
    made = AttemptFolder.for_run(folder / "runs" / location, telemetry.RunRef(run_id=name, attempt=1))
    made.claim()
    made.stdout.write_text("said")
    at = time.time() - age_s
    os.utime(made.path, (at, at))
    return made


DAY = 86_400.0


async def test_only_files_of_attempts_that_ended_long_ago_are_removed(tmp_path: Path) -> None:
    old, fresh = attempt(tmp_path, "a", age_s=8 * DAY), attempt(tmp_path, "b", age_s=6 * DAY)
    running = attempt(tmp_path, "c", age_s=30 * DAY)
    # Its location was removed long ago.
    orphan = attempt(tmp_path, "d", age_s=8 * DAY, location="gone")
    ledger = AttemptLedger(tmp_path / "attempts")
    ledger.put(holding("c"))
    assert await upkeep(tmp_path, kept_s=7 * DAY, ledger=ledger).remove_old_files() == 2
    assert [one.is_claimed for one in (old, fresh, running, orphan)] == [False, True, True, False]


async def test_the_proof_of_a_start_outlives_every_redelivery(tmp_path: Path) -> None:
    young = attempt(tmp_path, "a", age_s=MINIMUM_LIFE_S - 60)
    assert await upkeep(tmp_path, kept_s=1.0).remove_old_files() == 0
    assert young.is_claimed


async def test_more_than_a_batch_is_removed_whole(tmp_path: Path) -> None:
    for number in range(450):
        attempt(tmp_path, f"r{number}", age_s=8 * DAY)
    assert await upkeep(tmp_path, kept_s=7 * DAY).remove_old_files() == 450


async def test_a_folder_that_vanishes_between_two_looks_ends_nothing(tmp_path: Path) -> None:
    for name in "abc":
        attempt(tmp_path, name, age_s=8 * DAY)
    looks = old_attempts(tmp_path / "runs", before=time.time(), held=frozenset())
    first = next(looks)
    assert first is not None
    shutil.rmtree(tmp_path / "runs")
    rest = [path for path in looks if path is not None]
    assert remove_attempts([first, *rest]) == 1 + len(rest)


async def test_nothing_ran_yet(tmp_path: Path) -> None:
    assert await upkeep(tmp_path, kept_s=DAY).remove_old_files() == 0


@pytest.mark.parametrize(
    ("run_id", "is_valid"),
    [
        ("0b7c2a54-5c1f-4b1e-9d5a-0d6d1f0b7c2a", True),
        ("r", True),
        ("", False),
        (".hidden", False),
        ("../../etc", False),
        ("a/b", False),
        ("a\0b", False),
        ("x" * 129, False),
        ("a\n", False),
    ],
)
def test_run_ids_are_names_of_files(*, run_id: str, is_valid: bool) -> None:
    assert RunKey(run_id, 1).is_valid is is_valid
