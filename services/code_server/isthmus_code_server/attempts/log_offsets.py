"""Writes down how far a step's output has come at each turn of the step, so that its output can be found again.

The offsets go into the step's events, and with them into a small journal of their own, beside the output: it stays as
long as the output does, also when the events are published and gone.
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from isthmus.v1.telemetry_pb2 import Event, LogOffsets, RunStarted
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.journal import JournalWriter
from isthmus_spool.step_output import course_journal, make_step_output, step_output

_BODIES = frozenset({"step_started", "step_succeeded", "step_failed", "step_up_for_retry", "step_restarted"})


class LogOffsetBook:
    """Keeps one attempt's offsets; used in the run's process."""

    def __init__(self, attempt: AttemptFolder) -> None:
        self._attempt = attempt
        self._journal = JournalWriter(course_journal(attempt))

    def note(self, event: Event) -> None:
        """Write, into an event about a step's course, how much output there is by now; other events stay as they are.

        To be called before anything that comes after the event is written to the output.
        """
        # On a full disk output may be found less exactly; the run's own events have their own word about the disk.
        with contextlib.suppress(OSError):
            self._note(event)

    def _note(self, event: Event) -> None:
        name = event.WhichOneof("body")
        if name in _BODIES:
            body: Any = getattr(event, name)
            body.log_offsets.CopyFrom(self._offsets(event.step_key))
            self._keep(event, name, log_offsets=body.log_offsets)
        elif name == "step_skipped":
            self._keep(event, name)
        elif name == "run_started":
            self._journal.append(Event(run_started=RunStarted(step_keys=event.run_started.step_keys)))

    def close(self) -> None:
        """Close the journal; closing twice is fine."""
        self._journal.close()

    def _offsets(self, step_key: str) -> LogOffsets:
        own = step_output(self._attempt, step_key)
        # A step that has a process of its own has files of its own, too.
        if own.stdout.exists():
            return LogOffsets(stdout=_size(own.stdout), stderr=_size(own.stderr), is_own_file=True)
        for stream in (sys.stdout, sys.stderr):
            # User code may have closed or replaced them.
            with contextlib.suppress(Exception):
                stream.flush()
        return LogOffsets(stdout=_size(1), stderr=_size(2))

    def _keep(self, event: Event, name: str, *, log_offsets: LogOffsets | None = None) -> None:
        kept = Event(step_key=event.step_key)
        body: Any = getattr(kept, name)
        body.SetInParent()
        if log_offsets is not None:
            body.log_offsets.CopyFrom(log_offsets)
        self._journal.append(kept)


def redirect_to_step(attempt: AttemptFolder, step_key: str) -> None:
    """Send what this process writes to the step's own files; to be called in the step's process.

    Raises:
        OSError: The disk is full or gone.
    """
    own = make_step_output(attempt, step_key)
    for fd, path in ((1, own.stdout), (2, own.stderr)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, fd)
        os.close(file)


def _size(file: int | Path) -> int:
    with contextlib.suppress(OSError):
        return os.stat(file).st_size  # noqa: PTH116  # a descriptor has no Path
    return 0
