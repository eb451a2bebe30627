"""What of an attempt's journal waits for the broker's confirm."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from isthmus.v1.telemetry_pb2 import Event

from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.bounded import replacement
from isthmus_spool.journal import JournalReader, JournalSlice, is_terminal

#: Adds to an attempt's terminal event what its process could not know.
Amend = Callable[[Event], None]


class JournalBacklog:
    """The records behind the last confirmed one, in order; a relay takes them from here to the broker."""

    def __init__(self, folder: AttemptFolder, *, holds_end: bool = False) -> None:
        """Begin where the last confirm was; with `holds_end` the terminal event is kept back until `release_end`."""
        self._folder = folder
        self._holds_end = holds_end
        self._amend: Amend | None = None
        #: Whether the broker has the terminal event.
        self.has_confirmed_end = False
        offset, seq = folder.published()
        self._reader = JournalReader(folder.journal, offset=offset, seq=seq)
        self._head = JournalSlice((), offset, seq)

    @property
    def label(self) -> str:
        """The attempt, for logs."""
        return self._folder.path.name

    def take(self) -> Sequence[Event]:
        """Return the next records, none if there is nothing more now; the same ones again until they are confirmed.

        Raises:
            JournalError: The journal is damaged.
        """
        self._head = self._reader.read(until=is_terminal if self._holds_end else None)
        if self._amend is not None:
            for event in self._head.events:
                if is_terminal(event):
                    self._amend(event)
        return self._head.events

    @property
    def is_ending(self) -> bool:
        """Whether behind what `take` returned last stands the terminal event, which is kept back."""
        return self._head.is_stopped

    def replacement(self, event: Event, *, problem: str) -> Event:
        """Return a small event that stands in the place of one that no broker takes, and says why."""
        return replacement(event, problem=problem)

    def release_end(self, amend: Amend | None = None) -> None:
        """Let the terminal event go, with what `amend` adds to it: nothing of the attempt lives on."""
        self._holds_end = False
        self._amend = amend

    def confirm(self) -> None:
        """Remember that the broker has what `take` returned last; on a full disk, only for as long as this object lives."""
        self._reader.advance(self._head)
        self.has_confirmed_end = self.has_confirmed_end or any(is_terminal(event) for event in self._head.events)
        # An older mark only means that some events are published twice.
        with suppress(OSError):
            self._folder.mark_published(offset=self._head.offset, seq=self._head.seq)

    def complete(self) -> None:
        """Remember that nothing is left to publish, and nothing will come; on a full disk, the next to look finds out."""
        with suppress(OSError):
            self._folder.mark_done()
