"""What the handlers of runs share, and how they keep an attempt from starting."""

from dataclasses import dataclass
from pathlib import Path

from isthmus_spool.attempt_folder import AttemptFolder

from isthmus_agent.attempts.ledger import AttemptLedger
from isthmus_agent.attempts.tombstones import Tombstones
from isthmus_agent.drain import DrainSwitch
from isthmus_agent.identity import Holder
from isthmus_agent.instructions import fence
from isthmus_agent.instructions.outcome import Failed
from isthmus_agent.instructions.run_locks import RunLocks
from isthmus_agent.instructions.waiting import WaitingLaunches
from isthmus_agent.locations.registry import LocationRegistry
from isthmus_agent.run_key import RunKey


@dataclass(frozen=True)
class RunTools:
    """What the handlers of runs share."""

    registry: LocationRegistry
    ledger: AttemptLedger
    tombstones: Tombstones
    locks: RunLocks
    #: Held while a server of its own is sought for a run, so that two deliveries of a launch seek one.
    placing: RunLocks
    #: Told when a run is ended, so that its launch does not wait any more.
    waiting: WaitingLaunches
    #: Nothing is started while the agent's name is not this process's.
    holder: Holder
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

    def fence(self, key: RunKey, *, folder: AttemptFolder, outcome: Failed) -> bool:
        """Keep an attempt from ever starting, for the reason that `outcome` tells; False if it did start.

        To make the folder is to claim the attempt: a server that comes later finds it claimed, and starts nothing.

        Raises:
            OSError: The folder takes no more files; nothing is known of the attempt then, and this is to be called again.
        """
        if folder.claim():
            fence.write(folder, outcome)
        elif not fence.is_fenced(folder):
            return False
        folder.mark_done()
        self.ledger.forget(key)
        return True
