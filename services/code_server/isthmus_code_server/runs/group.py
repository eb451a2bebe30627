"""Signals to a run's process and to the group that it leads."""

import contextlib
import os
import signal

from isthmus_code_server.kernel.family import children_of, session_of


def signal_run(pid: int, number: signal.Signals) -> None:
    """Send a signal to a run's process and to all of its group."""
    # Before its setsid a child is in the session of the zygote, which is ours; any other process that has this id by now
    # is a stranger.
    if not signal_group(pid, number) and session_of(pid) in children_of(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def signal_group(group: int, number: signal.Signals) -> bool:
    """Send a signal to a process group; False when it is gone, or not there yet."""
    if group <= 0:
        return False
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
