"""What of an attempt's journal waits for the broker's confirm."""

from collections.abc import Sequence

from isthmus.v1.telemetry_pb2 import Event

from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.bounded import replacement
from isthmus_spool.journal import JournalReader, JournalSlice


class JournalBacklog:
    """The records behind the last confirmed one, in order; a relay takes them from here to the broker."""

    def __init__(self, folder: AttemptFolder) -> None:
        """Begin where the last confirm was."""
        self._folder = folder
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
        self._head = self._reader.read()
        return self._head.events

    def replacement(self, event: Event, *, problem: str) -> Event:
        """Return a small event that stands in the place of one that no broker takes, and says why."""
        return replacement(event, problem=problem)

    def confirm(self) -> None:
        """Remember that the broker has what `take` returned last."""
        self._reader.advance(self._head)
        self._folder.mark_published(offset=self._head.offset, seq=self._head.seq)

    def complete(self) -> None:
        """Remember that nothing is left to publish, and nothing will come."""
        self._folder.mark_done()
