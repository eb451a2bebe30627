"""What the deaths of steps' processes mean for the run that they belonged to."""

from functools import partial

from isthmus.v1.telemetry_pb2 import RunFailed

from isthmus_code_server.attempts.ending import ChildExit, terminal_event
from isthmus_code_server.attempts.memory import MemorySample, MemoryWatch
from isthmus_code_server.definitions.port import ExplainDeath


class StepDeaths:
    """Watches over the processes of a run's steps; see DeathWatch."""

    def __init__(self, memory: MemoryWatch | None = None) -> None:
        """Watch with `memory`; with one of its own, begun with the first step, where there is none."""
        # A run that is executed in one process pays for none.
        self._memory = memory

    def begin(self) -> ExplainDeath:
        """Begin to watch over one process, right before it starts; returns what explains its death."""
        memory = self._memory = self._memory or MemoryWatch()
        return partial(_explain, memory=memory, at_start=memory.now())

    def look(self) -> None:
        """Count anew, so that a death is held against what was counted a moment before, not hours."""
        if self._memory is not None:
            self._memory.sample()


def _explain(status: int, *, memory: MemoryWatch, at_start: MemorySample) -> RunFailed:
    child_exit = ChildExit.from_status(status)
    is_out_of_memory = memory.explains(child_exit, at_start=at_start)
    return terminal_event(child_exit, cancel_reason=None, is_out_of_memory=is_out_of_memory).run_failed
