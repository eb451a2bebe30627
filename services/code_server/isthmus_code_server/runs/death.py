"""What the death of a process means for the run that it belonged to."""

from isthmus.v1.telemetry_pb2 import RunFailed

from isthmus_code_server.runs.ending import ChildExit, terminal_event
from isthmus_code_server.runs.memory import MemoryWatch


def run_failure(status: int, *, memory: MemoryWatch) -> RunFailed:
    """Return reason and exit.

    Args:
        status: As waitpid gave it.
        memory: Begun while the process lived.
    """
    child_exit = ChildExit.from_status(status)
    event = terminal_event(child_exit, cancel_reason=None, is_out_of_memory=memory.explains(child_exit))
    return event.run_failed
