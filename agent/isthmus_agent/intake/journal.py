"""The journal of what was taken down and is not answered yet: a killed agent finds all of it again.

It is a row of files. Instructions are appended to the newest, and so is that they are forgotten. A file is removed when
nothing in it counts any more, the oldest first; where one old instruction keeps much that does not count, it is appended anew.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError
from isthmus.v1 import instruction_pb2 as instruction
from isthmus_lifecycle.log import get_logger

from isthmus_agent.intake.earlier import earlier_instructions
from isthmus_agent.intake.record import Kind, Record, pack
from isthmus_agent.intake.segment import Segment, segments_in

log = get_logger(__name__)

#: So many instructions, and bytes of them, are taken down; one more stays at the broker until there is room.
MOST_ENTRIES: Final = 20_000
MOST_BYTES: Final = 1024**3
#: A file that has grown to so many bytes is followed by a new one.
SEGMENT_BYTES: Final = 4 * 1024**2


@dataclass(frozen=True, order=True)
class Entry:
    """An instruction that was taken down."""

    #: Later ones have greater numbers.
    number: int
    instruction_id: str
    size: int


class IntakeJournal:
    """The instructions that this agent has taken from the broker and answers for.

    What is appended outlives the process at once; `synced` tells when it outlives the machine, too.
    """

    def __init__(self, folder: Path, *, most_entries: int = MOST_ENTRIES, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Keep them in `folder`, and find there what an earlier life of the agent left."""
        self._most_entries = most_entries
        self._segment_bytes = segment_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._entries: dict[int, Entry] = {}
        self._numbers: dict[str, int] = {}
        #: The file of each entry, by its number.
        self._places: dict[int, Segment] = {}
        self._bytes = 0
        self._next = 1
        self._appended = self._synced = 0
        #: Set at the end of the writing that is under way; None while there is none.
        self._syncing: asyncio.Event | None = None
        self._room = asyncio.Event()
        self._segments: list[Segment] = []
        self._load()
        self._note_room()

    def __contains__(self, instruction_id: str) -> bool:
        return instruction_id in self._numbers

    async def wait_room(self) -> None:
        """Wait until one more may be taken down."""
        await self._room.wait()

    def all(self) -> list[Entry]:
        """Return what there is, in the order in which it came."""
        return sorted(self._entries.values())

    def put(self, message: instruction.Instruction) -> Entry:
        """Take an instruction down.

        Raises:
            OSError: The folder takes no more; nothing was taken down.
        """
        entry = Entry(self._next, message.id, message.ByteSize())
        self._append(entry, message.SerializeToString())
        self._note_room()
        return entry

    async def synced(self) -> None:
        """Wait until all that was taken down before is on the disk. Whoever waits at the same time waits for one writing.

        Raises:
            OSError: The disk does not take it.
        """
        wanted = self._appended
        while self._synced < wanted:
            if self._syncing is None:
                await self._sync()
            else:
                await self._syncing.wait()

    def read(self, entry: Entry) -> instruction.Instruction:
        """Return an instruction that was taken down.

        Raises:
            OSError: Its file cannot be read.
            DecodeError: Somebody has changed it.
        """
        return instruction.Instruction.FromString(self._payload(entry))

    def remove(self, entry: Entry) -> None:
        """Forget an instruction: its result is confirmed."""
        if entry.number not in self._entries:
            return
        self._forget(entry.number)
        self._note_room()
        try:
            self._newest().append(pack(Kind.FORGOTTEN, entry.number))
            self._tidy()
        except OSError as error:
            # The next life of the agent does it again, which changes nothing, and is given the same result.
            log.warning("intake_not_tidied", instruction_id=entry.instruction_id, error=str(error))

    def close(self) -> None:
        """Close the files."""
        for segment in self._segments:
            segment.close()

    async def _sync(self) -> None:
        reached, self._syncing = self._appended, asyncio.Event()
        try:
            # Files before the newest were synced when it was begun.
            await asyncio.to_thread(self._segments[-1].sync)
            self._synced = reached
        finally:
            self._syncing.set()
            self._syncing = None

    def _payload(self, entry: Entry) -> bytes:
        segment = self._places[entry.number]
        return segment.read(length=entry.size, end=segment.living[entry.number])

    def _append(self, entry: Entry, payload: bytes) -> None:
        segment = self._newest()
        self._note(entry, segment=segment, end=segment.append(pack(Kind.TAKEN, entry.number, payload)))
        self._appended += 1

    def _note(self, entry: Entry, *, segment: Segment, end: int) -> None:
        if (known := self._numbers.get(entry.instruction_id)) is not None:
            self._forget(known)
        self._entries[entry.number] = entry
        self._numbers[entry.instruction_id] = entry.number
        self._places[entry.number] = segment
        segment.living[entry.number] = end
        self._bytes += entry.size
        self._next = max(self._next, entry.number + 1)

    def _forget(self, number: int) -> None:
        entry = self._entries.pop(number)
        del self._numbers[entry.instruction_id]
        del self._places.pop(number).living[number]
        self._bytes -= entry.size

    def _newest(self) -> Segment:
        """Return the file that is appended to."""
        newest = self._segments[-1] if self._segments else None
        if newest is None or newest.is_sealed or newest.size >= self._segment_bytes:
            if newest is not None:
                # To wait for it here costs one launch in thousands a moment, and spares `synced` to know of several files.
                newest.sync()
                newest.close()
            newest = Segment.numbered(self._folder, newest.number + 1 if newest is not None else 1)
            self._segments.append(newest)
        return newest

    def _tidy(self) -> None:
        """Remove the oldest files in which nothing counts; what counts among much waste is taken out first."""
        while len(self._segments) > 1:
            oldest = self._segments[0]
            if oldest.living and not self._is_mostly_waste():
                return
            if oldest.living:
                for entry in [self._entries[number] for number in sorted(oldest.living)]:
                    self._append(entry, self._payload(entry))
                # What was taken out must not be lost with the machine, when that from which it was taken is gone.
                self._segments[-1].sync()
            self._segments.pop(0).remove()

    def _is_mostly_waste(self) -> bool:
        written = sum(segment.size for segment in self._segments)
        return written > 2 * self._bytes + 4 * self._segment_bytes

    def _note_room(self) -> None:
        if len(self._entries) < self._most_entries and self._bytes < MOST_BYTES:
            self._room.set()
        else:
            self._room.clear()

    # ------------------------------------------------------------------------------------------------------ a new life

    def _load(self) -> None:
        for segment in segments_in(self._folder):
            try:
                for record in segment.load():
                    self._recall(record, segment=segment)
            except OSError as error:
                # The control plane ends what is never answered.
                log.error("intake_unreadable", path=str(segment.path), error=str(error))  # noqa: TRY400 (the message says it all)
                segment.seal()
            self._segments.append(segment)
        for path, message in earlier_instructions(self._folder):
            if message.id not in self:
                self._append(Entry(self._next, message.id, message.ByteSize()), message.SerializeToString())
                self._segments[-1].sync()
            path.unlink(missing_ok=True)

    def _recall(self, record: Record, *, segment: Segment) -> None:
        if record.kind is Kind.FORGOTTEN:
            self._next = max(self._next, record.number + 1)
            if record.number in self._entries:
                self._forget(record.number)
            return
        try:
            message = instruction.Instruction.FromString(record.payload)
        except DecodeError as error:
            log.error("taken_instruction_unreadable", path=str(segment.path), error=str(error))  # noqa: TRY400 (the message says it all)
            return
        self._note(Entry(record.number, message.id, len(record.payload)), segment=segment, end=record.end)
