"""What the handlers of runs share, and how they keep an attempt from starting."""

from dataclasses import dataclass
from pathlib import Path

from isthmus_spool.attempt_folder import AttemptFolder

from isthmus_agent.attempts.ledger import AttemptLedger
from isthmus_agent.attempts.tombstones import Tombstones
from isthmus_agent.drain import DrainSwitch
from isthmus_agent.instructions.run_locks import RunLocks
from isthmus_agent.locations.registry import LocationRegistry
from isthmus_agent.run_key import RunKey


@dataclass(frozen=True)
class AttemptDesk:
    """What the handlers of runs share."""

    registry: LocationRegistry
    ledger: AttemptLedger
    tombstones: Tombstones
    locks: RunLocks
    #: Held while a server of its own is sought for a run, so that two deliveries of a launch seek one.
    placing: RunLocks
    drain: DrainSwitch
    #: Seconds that a launch waits at the most for its location.
    location_wait_s: float
    #: Seconds that a run may take to clean up when it is told to stop.
    cancel_grace_s: float
    #: Below it, a folder per location with a folder per attempt.
    runs_root: Path

    def folder(self, location: str, key: RunKey) -> AttemptFolder:
        """Return the files of an attempt, whether or not there are any."""
        return AttemptFolder.for_run(self.registry.runs_dir(location), key.to_proto())

    def fence(self, key: RunKey, *, folder: AttemptFolder) -> bool:
        """Keep an attempt from starting of which nobody knows whether a server is about to; False if it did start.

        To make the folder is to claim the attempt: a server that comes later finds it claimed, and starts nothing.
        """
        if not folder.claim():
            return False
        _fence(folder).touch()
        folder.mark_done()
        self.ledger.forget(key)
        return True


def is_fenced(folder: AttemptFolder) -> bool:
    """Return whether the agent claimed the attempt itself, so that nobody starts it."""
    return _fence(folder).exists()


def _fence(folder: AttemptFolder) -> Path:
    return folder.path / "fenced"
