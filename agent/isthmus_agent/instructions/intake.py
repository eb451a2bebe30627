"""What was taken down and is not answered yet: one file per instruction, so that a killed agent finds all of it again."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError
from isthmus.v1 import instruction_pb2 as instruction
from isthmus_lifecycle.log import get_logger

log = get_logger(__name__)

#: So many instructions, and bytes of them, are taken down; one more stays at the broker until there is room.
MOST_ENTRIES = 20_000
MOST_BYTES = 1024**3

_SUFFIX, _DRAFT_SUFFIX = ".binpb", ".new"


@dataclass(frozen=True, order=True)
class Entry:
    """An instruction that was taken down."""

    #: Later ones have greater numbers.
    number: int
    instruction_id: str
    size: int


class IntakeFolder:
    """The instructions that this agent has taken from the broker and answers for.

    A file is written and then given its name, so that it is whole or not there for every process that dies.
    """

    def __init__(self, folder: Path, *, most_entries: int = MOST_ENTRIES) -> None:
        """Keep them in `folder`, and find there what an earlier life of the agent left."""
        self._most_entries = most_entries
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._entries = {entry.instruction_id: entry for entry in self._load()}
        self._next = max((entry.number for entry in self._entries.values()), default=0) + 1
        self._bytes = sum(entry.size for entry in self._entries.values())
        self._room = asyncio.Event()
        self._note_room()

    def __contains__(self, instruction_id: str) -> bool:
        return instruction_id in self._entries

    async def wait_room(self) -> None:
        """Wait until one more may be taken down."""
        await self._room.wait()

    def all(self) -> list[Entry]:
        """Return what there is, in the order in which it came."""
        return sorted(self._entries.values())

    def put(self, message: instruction.Instruction) -> Entry:
        """Take an instruction down.

        Raises:
            OSError: The folder takes no more files.
        """
        data = message.SerializeToString()
        entry = Entry(self._next, message.id, len(data))
        draft = self._path(entry).with_suffix(_DRAFT_SUFFIX)
        try:
            draft.write_bytes(data)
            draft.replace(self._path(entry))
        except OSError:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        self._next += 1
        self._entries[entry.instruction_id] = entry
        self._bytes += entry.size
        self._note_room()
        return entry

    def read(self, entry: Entry) -> instruction.Instruction:
        """Return an instruction that was taken down.

        Raises:
            OSError: Its file cannot be read.
            DecodeError: Somebody has changed it.
        """
        return instruction.Instruction.FromString(self._path(entry).read_bytes())

    def remove(self, entry: Entry) -> None:
        """Forget an instruction: its result is confirmed."""
        if self._entries.pop(entry.instruction_id, None) is not None:
            self._bytes -= entry.size
        with suppress(FileNotFoundError):
            self._path(entry).unlink()
        self._note_room()

    def _note_room(self) -> None:
        if len(self._entries) < self._most_entries and self._bytes < MOST_BYTES:
            self._room.set()
        else:
            self._room.clear()

    def _load(self) -> list[Entry]:
        found = []
        for path in self._folder.iterdir():
            if path.suffix == _DRAFT_SUFFIX:
                path.unlink()
            elif path.suffix == _SUFFIX and path.stem.isdecimal():
                entry = _entry_of(path)
                if entry is not None:
                    found.append(entry)
        return found

    def _path(self, entry: Entry) -> Path:
        return self._folder / f"{entry.number:016d}{_SUFFIX}"


def _entry_of(path: Path) -> Entry | None:
    try:
        data = path.read_bytes()
        return Entry(int(path.stem), instruction.Instruction.FromString(data).id, len(data))
    except (OSError, DecodeError) as error:
        # The control plane ends what is never answered.
        log.error("taken_instruction_unreadable", path=str(path), error=str(error))  # noqa: TRY400 (the message says it all)
        with suppress(OSError):
            path.rename(path.with_suffix(".bad"))
        return None
