"""What an agent takes down: found again after whatever ends it, in its order, once, and in a bounded room."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest
from isthmus.v1.instruction_pb2 import Instruction
from isthmus_agent.intake.journal import IntakeJournal


def launch(id_: str, *, run_id: str = "r", padding: int = 0) -> Instruction:
    message = Instruction(id=id_, deployment="test", agent="edge")
    message.launch_run.request.run.run_id = run_id
    message.launch_run.request.location = "sales"
    message.launch_run.request.run_config_json = "x" * padding
    return message


def ids(journal: IntakeJournal) -> list[str]:
    return [entry.instruction_id for entry in journal.all()]


def found(folder: Path) -> list[str]:
    """What the next life of the agent finds."""
    journal = IntakeJournal(folder)
    assert [journal.read(entry).id for entry in journal.all()] == ids(journal)
    journal.close()
    return ids(journal)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.journal"))


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: what is written at that border is written in part, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_was_taken_down_survives_its_agent_in_its_order(tmp_path: Path) -> None:
    journal = IntakeJournal(tmp_path)
    taken = [journal.put(launch(id_)) for id_ in ("c", "a", "b")]
    journal.remove(taken[1])
    again = IntakeJournal(tmp_path)
    assert ids(again) == ["c", "b"]
    assert "c" in again
    assert "a" not in again
    assert again.read(again.all()[0]) == launch("c")
    again.put(launch("d"))
    assert found(tmp_path) == ["c", "b", "d"]


def test_removing_twice_is_fine(tmp_path: Path) -> None:
    journal = IntakeJournal(tmp_path)
    entry = journal.put(launch("a"))
    journal.remove(entry)
    journal.remove(entry)
    assert found(tmp_path) == []


def test_an_instruction_may_come_again_after_it_was_forgotten(tmp_path: Path) -> None:
    journal = IntakeJournal(tmp_path)
    journal.remove(journal.put(launch("a")))
    journal.put(launch("a", run_id="again"))
    again = IntakeJournal(tmp_path)
    assert [again.read(entry) for entry in again.all()] == [launch("a", run_id="again")]


def test_wherever_writing_breaks_off_the_whole_records_before_it_are_found(tmp_path: Path) -> None:
    written = tmp_path / "written"
    journal = IntakeJournal(written)
    states: list[tuple[int, list[str]]] = [(0, [])]

    def note() -> None:
        states.append((journal_size(written), ids(journal)))

    first = journal.put(launch("a"))
    note()
    journal.put(launch("b", padding=40))
    note()
    journal.remove(first)
    note()
    journal.put(launch("c"))
    note()
    data = files(written)[0].read_bytes()
    for size in range(len(data) + 1):
        folder = tmp_path / f"cut at {size}"
        folder.mkdir()
        (folder / files(written)[0].name).write_bytes(data[:size])
        expected = next(state for end, state in reversed(states) if end <= size)
        assert found(folder) == expected
        # What comes next is not hidden by what was torn.
        IntakeJournal(folder).put(launch("next"))
        assert found(folder) == [*expected, "next"]


def journal_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in files(folder))


def test_a_damaged_record_hides_no_other(tmp_path: Path) -> None:
    journal = IntakeJournal(tmp_path)
    journal.put(launch("a"))
    border = journal_size(tmp_path)
    for id_ in ("b", "c"):
        journal.put(launch(id_))
    (path,) = files(tmp_path)
    data = bytearray(path.read_bytes())
    data[border + 25] ^= 0xFF
    path.write_bytes(data)
    assert found(tmp_path) == ["a", "c"]


def test_a_file_that_cannot_be_read_hides_no_other_and_is_not_written_over(tmp_path: Path) -> None:
    journal = IntakeJournal(tmp_path, segment_bytes=1)
    for id_ in ("a", "b"):
        journal.put(launch(id_))
    path = files(tmp_path)[1]
    path.unlink()
    path.mkdir()
    again = IntakeJournal(tmp_path)
    assert ids(again) == ["a"]
    again.put(launch("c"))
    assert found(tmp_path) == ["a", "c"]


def test_a_full_disk_takes_nothing_and_keeps_what_it_has(tmp_path: Path) -> None:
    journal = IntakeJournal(tmp_path)
    journal.put(launch("a"))
    with full_at(journal_size(tmp_path) + 30), pytest.raises(OSError, match="File too large"):
        journal.put(launch("b"))
    assert ids(journal) == found(tmp_path) == ["a"]
    journal.put(launch("b"))
    assert found(tmp_path) == ["a", "b"]


def test_what_cannot_be_noted_as_done_is_done_again_and_nothing_else(tmp_path: Path) -> None:
    journal = IntakeJournal(tmp_path)
    # Larger than what is logged, which is in a file of the test's.
    first = journal.put(launch("a", padding=1_000_000))
    journal.put(launch("b"))
    with full_at(journal_size(tmp_path)):
        journal.remove(first)
    assert ids(journal) == ["b"]
    assert found(tmp_path) == ["a", "b"]


def test_its_room_is_bounded_however_many_come_and_go(tmp_path: Path) -> None:
    journal = IntakeJournal(tmp_path, segment_bytes=2_000)
    waiting = [journal.put(launch("first"))]
    for number in range(2_000):
        entry = journal.put(launch(f"{number}"))
        if number % 500 == 0:
            waiting.append(entry)
        else:
            journal.remove(entry)
    expected = [entry.instruction_id for entry in waiting]
    assert ids(journal) == found(tmp_path) == expected
    assert journal_size(tmp_path) < 8 * 2_000


def test_what_is_moved_is_found_once_wherever_moving_breaks_off(tmp_path: Path) -> None:
    journal = IntakeJournal(tmp_path, segment_bytes=1_000)
    journal.put(launch("stays"))
    oldest = files(tmp_path)[0]
    data = oldest.read_bytes()
    while oldest.exists():
        data = oldest.read_bytes()
        journal.remove(journal.put(launch("passes")))
    assert found(tmp_path) == ["stays"]
    # Killed between moving and the removal of that from which was moved.
    oldest.write_bytes(data)
    assert found(tmp_path) == ["stays"]


def test_what_an_agent_before_the_journal_left_is_taken_over_once(tmp_path: Path) -> None:
    for number, id_ in ((3, "a"), (20, "b")):
        (tmp_path / f"{number:016d}.binpb").write_bytes(launch(id_).SerializeToString())
    (tmp_path / "0000000000000007.binpb").write_bytes(b"\xff\xff garbage")
    (tmp_path / "0000000000000008.new").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    journal = IntakeJournal(tmp_path)
    assert ids(journal) == ["a", "b"]
    # Killed before the file of the second was removed.
    (tmp_path / "0000000000000020.binpb").write_bytes(launch("b").SerializeToString())
    assert found(tmp_path) == ["a", "b"]
    left = sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".journal")
    assert left == ["0000000000000007.bad", "notes.txt"]


def test_a_killed_writer_leaves_all_that_it_told(tmp_path: Path) -> None:
    writer = dedent(
        """
        import sys
        from pathlib import Path
        from isthmus.v1.instruction_pb2 import Instruction
        from isthmus_agent.intake.journal import IntakeJournal

        journal = IntakeJournal(Path(sys.argv[1]), segment_bytes=2_000)
        kept = journal.all()[-1:]
        for entry in journal.all()[:-1]:
            journal.remove(entry)
        number = int(sys.argv[2])
        while True:
            kept.append(journal.put(Instruction(id=f"{number}", deployment="d", agent="a")))
            print("+", number, flush=True)
            number += 1
            if len(kept) > 3:
                gone = kept.pop(1)
                journal.remove(gone)
                print("-", gone.instruction_id, flush=True)
        """
    )
    told_at_most = 0
    for life in range(4):
        command = [sys.executable, "-c", writer, str(tmp_path), str(told_at_most)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(300 + 77 * life)]
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.readlines()
        told = [line.split() for line in lines if line.endswith("\n")]
        taken = [number for sign, number in told if sign == "+"]
        gone = {number for sign, number in told if sign == "-"}
        there = found(tmp_path)
        assert len(there) == len(set(there))
        # One more may be there, or gone, that it had no time to tell of.
        untold = set(there) - set(taken)
        assert {number for number in untold if int(number) >= told_at_most} <= {str(int(taken[-1]) + 1)}
        missing = set(taken) - gone - set(there)
        assert len(missing) <= 1
        assert not gone & set(there)
        told_at_most = int(taken[-1]) + 2


async def test_there_is_room_for_so_much_and_no_more(tmp_path: Path) -> None:
    journal = IntakeJournal(tmp_path, most_entries=2)
    first = journal.put(launch("a"))
    await journal.wait_room()
    journal.put(launch("b"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await journal.wait_room()
    journal.remove(first)
    await journal.wait_room()


async def test_whoever_waits_for_the_disk_at_once_waits_for_one_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    fdatasync = os.fdatasync

    def counted(fd: int) -> None:
        written.append(fd)
        fdatasync(fd)

    # The system's own call, counted.
    monkeypatch.setattr(os, "fdatasync", counted)
    journal = IntakeJournal(tmp_path)
    for number in range(200):
        journal.put(launch(f"{number}"))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(200):
            tasks.create_task(journal.synced())
    assert len(written) == 1
    await journal.synced()
    assert len(written) == 1


async def test_who_waits_for_the_disk_does_not_lose_by_another_that_is_cancelled(tmp_path: Path) -> None:
    journal = IntakeJournal(tmp_path)
    journal.put(launch("a"))
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        first, second = tasks.create_task(journal.synced()), tasks.create_task(journal.synced())
        await asyncio.sleep(0)
        first.cancel()
        await second
