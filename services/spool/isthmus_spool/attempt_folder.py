"""The folder of an attempt: the claim that it was started, and the files of a run.

```
<runs>/<run_id>.<attempt>/   request.binpb  events.journal  published  stdout  stderr  done
```

Used in forked children: imports nothing that starts threads or event loops.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isthmus.v1.telemetry_pb2 import RunRef

from isthmus_spool.unfollowed import open_unfollowed

#: How far behind an attempt its successors are looked for: attempts are numbered one by one, and those between two that
#: began here began on other agents.
FENCE_REACH = 64


@dataclass(frozen=True)
class AttemptFolder:
    """The files of one attempt of a run. To make the folder is to claim the attempt."""

    path: Path
    run_id: str
    attempt: int

    @classmethod
    def for_run(cls, runs_dir: Path, run: RunRef) -> "AttemptFolder":
        """Return the folder of an attempt, whether or not it exists."""
        return cls(runs_dir / f"{run.run_id}.{run.attempt}", run.run_id, run.attempt)

    @property
    def ref(self) -> RunRef:
        """The attempt's name in the contract."""
        return RunRef(run_id=self.run_id, attempt=self.attempt)

    @property
    def journal(self) -> Path:
        """The events."""
        return self.path / "events.journal"

    @property
    def request(self) -> Path:
        """The RunRequest that the attempt executes."""
        return self.path / "request.binpb"

    @property
    def stdout(self) -> Path:
        """What the run's process wrote to its standard output."""
        return self.path / "stdout"

    @property
    def stderr(self) -> Path:
        """What the run's process wrote to its standard error."""
        return self.path / "stderr"

    @property
    def is_claimed(self) -> bool:
        """Whether somebody claimed the attempt."""
        return self.path.is_dir()

    @property
    def is_done(self) -> bool:
        """Whether the attempt has ended and the broker has all its events."""
        return self._done.exists()

    def claim(self) -> bool:
        """Make the folder; False if it was there, which means that the attempt was started before."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            return False
        return True

    def published(self) -> tuple[int, int]:
        """Return how much of the journal the broker has confirmed: the offset, and the number of the last record."""
        with suppress(FileNotFoundError, ValueError), open(self._published, opener=open_unfollowed) as file:
            offset, seq = file.read().split()
            return int(offset), int(seq)
        return 0, 0

    def mark_published(self, *, offset: int, seq: int) -> None:
        """Remember what was confirmed. An older mark only means that some events are published twice."""
        # Of fixed width and written in place: whole, or the mark before, for every process that dies.
        fd = open_unfollowed(str(self._published), os.O_WRONLY | os.O_CREAT)
        try:
            os.pwrite(fd, f"{offset:020d} {seq:012d}\n".encode(), 0)
        finally:
            os.close(fd)

    def mark_done(self) -> None:
        """Remember that nothing is left to publish."""
        os.close(open_unfollowed(str(self._done), os.O_WRONLY | os.O_CREAT))

    def drop_journal(self) -> None:
        """Delete the journal of an attempt that is done: the broker has its events. Output stays."""
        if self.is_done:
            with suppress(OSError):
                self.journal.unlink(missing_ok=True)

    @property
    def _published(self) -> Path:
        return self.path / "published"

    @property
    def _done(self) -> Path:
        return self.path / "done"


def later_attempt(folder: AttemptFolder) -> int | None:
    """Return the number of a later attempt of the same run; None for none.

    On the way of every launch: what is looked for are a few names, however many folders there are, by what costs least.
    """
    names = f"{os.fspath(folder.path.parent)}/{folder.run_id}."
    for attempt in range(folder.attempt + 1, folder.attempt + 1 + FENCE_REACH):
        # Of names that are not there, which are nearly all, this tells in a third of the time of asking for a folder.
        if os.access(f"{names}{attempt}", os.F_OK) and os.path.isdir(f"{names}{attempt}"):  # noqa: PTH112  # as above
            return attempt
    return None


def list_attempts(runs_dir: Path) -> list[AttemptFolder]:
    """Return every attempt in a folder of attempts."""
    found: list[AttemptFolder] = []
    with suppress(FileNotFoundError):
        for path in sorted(runs_dir.iterdir()):
            run_id, _, attempt = path.name.rpartition(".")
            if run_id and attempt.isdecimal() and path.is_dir():
                found.append(AttemptFolder(path, run_id, int(attempt)))
    return found
