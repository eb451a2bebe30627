"""What Linux tells of the processes below this one, and how orphans come to it."""

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

_PR_SET_CHILD_SUBREAPER = 36
#: How long processes may take to be gone after SIGKILL, seconds.
_KILL_TIMEOUT_S = 10.0
#: Between two looks at what was killed, seconds.
_LOOK_S = 0.02

_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends, instead of the machine's first process.

    Raises:
        OSError: The kernel does not know the request.
    """
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed: Linux 3.4 is needed")


def children_of(pid: int) -> set[int]:
    """Return the children of a process, those that are not reaped yet among them; none when it is gone."""
    found: set[int] = set()
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208  # plain names, without a Path for each
            found.update(_children_of_task(pid, task))
    return found


def descendants_of(pid: int) -> set[int]:
    """Return the children of a process, their children, and so on."""
    found: set[int] = set()
    new = children_of(pid)
    while new:
        found |= new
        new = {child for parent in new for child in children_of(parent)} - found
    return found


def end_children() -> int:
    """Kill every process below this one, and return how many there were once none is left. Blocks: for a thread.

    Only for a process all of whose children may go. What even SIGKILL does not end is given up after some seconds.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + _KILL_TIMEOUT_S
    while (pids := descendants_of(os.getpid())) and time.monotonic() < deadline:
        for pid in pids:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        killed |= pids
        while _reap_any():
            pass
        time.sleep(_LOOK_S)
    return len(killed)


def _reap_any() -> bool:
    with suppress(ChildProcessError):
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    return False


def name_of(pid: int) -> str:
    """Return the name of a process's program; empty when it is gone."""
    with suppress(OSError), open(f"/proc/{pid}/comm", "rb") as file:  # noqa: PTH123  # as above
        return file.read().decode(errors="replace").strip()
    return ""


def group_of(pid: int) -> int:
    """Return the process group of a process, also of one that has ended and is not reaped; 0 when it is gone."""
    with suppress(ProcessLookupError):
        return os.getpgid(pid) if pid > 0 else 0
    return 0


def session_of(pid: int) -> int:
    """Return the session of a process; 0 when it is gone."""
    with suppress(ProcessLookupError):
        return os.getsid(pid) if pid > 0 else 0
    return 0


def _children_of_task(pid: int, task: str) -> set[int]:
    try:
        with open(f"/proc/{pid}/task/{task}/children", "rb") as file:  # noqa: PTH123  # as above
            return {int(child) for child in file.read().split()}
    except FileNotFoundError:
        # The task is gone, or the kernel was built without this file.
        return {child for child, parent in _parents() if parent == pid} if _has_no_children_files() else set()


def _has_no_children_files() -> bool:
    return not os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # noqa: PTH110  # as above


def _parents() -> Iterator[tuple[int, int]]:
    """Yield each process of the machine with its parent."""
    for name in os.listdir("/proc"):  # noqa: PTH208  # as above
        if name.isdecimal():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123  # as above
                # The second field is the command in parentheses, and may hold spaces and parentheses itself.
                yield int(name), int(file.read().rpartition(b")")[2].split()[1])
