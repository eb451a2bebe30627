"""Takes a run's events into its journal."""

import contextlib
import socket
import threading

from isthmus.v1.telemetry_pb2 import Event
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.journal import JournalWriter, is_terminal

from isthmus_code_server.attempts.log_offsets import LogOffsetBook
from isthmus_code_server.zygote.wire import fault_byte


class JournalSink:
    """Takes the run's events, from any of its threads, into its journal.

    An event that cannot be written is the last: none that follows it may hide that it is missing. The supervisor is told why.
    """

    def __init__(self, channel: socket.socket, attempt: AttemptFolder) -> None:
        """Open the attempt's journal, and ring at `channel` whenever it has grown.

        Raises:
            OSError: The disk is full or gone.
        """
        self._channel = channel
        self._journal = JournalWriter(attempt.journal, doorbell_fd=channel.fileno())
        self._offsets = LogOffsetBook(attempt)
        self._ref = attempt.ref
        self._lock = threading.Lock()
        self._written = 0
        self._fault: OSError | None = None
        self._end: Event | None = None
        self._has_ended = False

    @property
    def written(self) -> int:
        """How many events are in the journal: the seq of the last one."""
        with self._lock:
            return self._written

    @property
    def has_ended(self) -> bool:
        """Whether the event that ends the run is in the journal."""
        with self._lock:
            return self._has_ended

    def take(self, event: Event) -> None:
        """Append an event; the one that ends the run is kept for `close`, so that nothing comes after it.

        Raises:
            OSError: The event, or one before it, could not be written.
        """
        event.run.CopyFrom(self._ref)
        with self._lock:
            if is_terminal(event):
                self._end = event
            else:
                self._append(event)

    def close(self) -> None:
        """Append the event that ends the run, if there is one, and close the journal; closing twice is fine.

        Raises:
            OSError: It could not be written.
        """
        with self._lock:
            event, self._end = self._end, None
            if event is not None:
                self._append(event)
                self._has_ended = True
            self._journal.close()
            self._offsets.close()

    def _append(self, event: Event) -> None:
        if self._fault is not None:
            raise self._fault
        self._offsets.note(event)
        try:
            self._journal.append(event)
        except OSError as error:
            self._fault = error
            with contextlib.suppress(OSError):
                self._channel.send(fault_byte(error))
            raise
        self._written += 1
