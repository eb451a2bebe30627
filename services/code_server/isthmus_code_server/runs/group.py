"""Signals to a run's process and to the group that it leads."""

import contextlib
import os
import signal


def signal_run(pid: int, number: signal.Signals) -> None:
    """Send a signal to a run's process and to all of its group."""
    if pid > 0 and not signal_group(pid, number):
        # Before its setsid the child is in the zygote's group still.
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
