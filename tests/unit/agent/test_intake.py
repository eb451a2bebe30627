"""What an agent takes down: found again, in order, and forgotten once."""

import asyncio
from pathlib import Path

import pytest
from isthmus.v1.instruction_pb2 import Instruction
from isthmus_agent.instructions.intake import IntakeFolder


def launch(id_: str, *, run_id: str = "r") -> Instruction:
    message = Instruction(id=id_, deployment="test", agent="edge")
    message.launch_run.request.run.run_id = run_id
    message.launch_run.request.location = "sales"
    return message


def ids(folder: IntakeFolder) -> list[str]:
    return [entry.instruction_id for entry in folder.all()]


def test_what_was_taken_down_survives_its_agent_in_its_order(tmp_path: Path) -> None:
    folder = IntakeFolder(tmp_path)
    taken = [folder.put(launch(id_)) for id_ in ("c", "a", "b")]
    folder.remove(taken[1])
    again = IntakeFolder(tmp_path)
    assert ids(again) == ["c", "b"]
    assert "c" in again
    assert "a" not in again
    assert again.read(again.all()[0]) == launch("c")
    again.put(launch("d"))
    assert ids(IntakeFolder(tmp_path)) == ["c", "b", "d"]


def test_removing_twice_is_fine(tmp_path: Path) -> None:
    folder = IntakeFolder(tmp_path)
    entry = folder.put(launch("a"))
    folder.remove(entry)
    folder.remove(entry)
    assert ids(IntakeFolder(tmp_path)) == []


def test_what_is_torn_or_foreign_hides_nothing(tmp_path: Path) -> None:
    folder = IntakeFolder(tmp_path)
    folder.put(launch("a"))
    (tmp_path / "0000000000000007.binpb").write_bytes(b"\xff\xff garbage")
    (tmp_path / "0000000000000008.new").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    assert ids(IntakeFolder(tmp_path)) == ["a"]
    # It is read once, and kept aside.
    assert (tmp_path / "0000000000000007.bad").exists()
    assert not (tmp_path / "0000000000000008.new").exists()


def test_a_full_folder_takes_nothing_and_keeps_what_it_has(tmp_path: Path) -> None:
    folder = IntakeFolder(tmp_path)
    folder.put(launch("a"))
    (tmp_path / "0000000000000002.new").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        folder.put(launch("b"))
    assert ids(folder) == ["a"]
    folder.put(launch("b"))
    assert ids(IntakeFolder(tmp_path)) == ["a", "b"]


async def test_there_is_room_for_so_much_and_no_more(tmp_path: Path) -> None:
    folder = IntakeFolder(tmp_path, most_entries=2)
    first = folder.put(launch("a"))
    await folder.wait_room()
    folder.put(launch("b"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await folder.wait_room()
    folder.remove(first)
    await folder.wait_room()
