"""What the kernel tells about processes, read from /proc."""

import contextlib
import os
import select
import signal
from pathlib import Path

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")
#: The name of the environment variable that marks a code server and everything it starts.
TAG_VARIABLE = "ISTHMUS_SERVER_TAG"


def boot_id() -> str:
    """Return the identity of this boot: process ids and start times mean nothing beyond it."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when there is no such process, or a dead one.

    Together with the pid it names one process for as long as the machine is up, however often the pid is reused.
    """
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field is the command in parentheses, and may hold spaces and parentheses itself.
    state, *fields = text.rpartition(")")[2].split()
    return None if state in {"Z", "X"} else int(fields[18])


def tagged_pids(tag: str) -> tuple[int, ...]:
    """Return the living processes of this user that carry the tag, oldest first.

    The tag is in the environment, so it is inherited over forks, execs and new sessions: a process tree cannot lose it
    by accident, as it can lose its parent or its process group.
    """
    needle = f"{TAG_VARIABLE}={tag}".encode()
    found = [pid for pid in _pids() if needle in _environ(pid).split(b"\0")]
    alive = [(ticks, pid) for pid in found if (ticks := start_ticks(pid)) is not None]
    return tuple(pid for _, pid in sorted(alive))


def end_tagged(tag: str) -> None:
    """Kill every process that carries the tag, and return when none is left that could run. Blocks: for a thread.

    One that dies already has given up its memory, its environment with it, and is not seen; it executes nothing more.
    """
    while pids := tagged_pids(tag):
        # Looked for again until there is none: one of them may have forked between the look and its death.
        for pid in pids:
            _end_if_tagged(pid, tag=tag)


def tagged_memory_bytes(tag: str) -> int:
    """Return what all processes that carry the tag hold in memory together: pages that they share count once."""
    return sum(_proportional_bytes(pid) for pid in tagged_pids(tag))


def out_of_memory_kills() -> int:
    """Return how often the kernel has killed a process for memory; 0 where it does not say.

    In this process's own control group, which its children share, where that is counted; else on the whole machine.
    """
    counts = (_out_of_memory_kills(file) for file in (*_group_files(), _PROC / "vmstat"))
    return next((count for count in counts if count is not None), 0)


def _group_files() -> list[Path]:
    """Return where the group's count may be: by its full path, or at the root where a container sees only itself."""
    found = []
    with contextlib.suppress(OSError):
        for line in (_PROC / "self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for folder in (path.lstrip("/"), ""):
                if not controllers:
                    found.append(_GROUPS / folder / "memory.events")
                elif "memory" in controllers.split(","):
                    found.append(_GROUPS / "memory" / folder / "memory.oom_control")
    return found


def _out_of_memory_kills(file: Path) -> int | None:
    with contextlib.suppress(OSError):
        for line in file.read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


def _end_if_tagged(pid: int, *, tag: str) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # Looked at again through an open pidfd: the pid cannot have passed on to a stranger in between.
        if f"{TAG_VARIABLE}={tag}".encode() in _environ(pid).split(b"\0"):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            select.select([fd], [], [])
    except ProcessLookupError:
        return
    finally:
        os.close(fd)


def _proportional_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name == "Pss":
                return int(rest.split()[0]) * 1024
    return 0


def _pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _environ(pid: int) -> bytes:
    # Other users' processes cannot be read, and those that end meanwhile are gone: neither is ours.
    try:
        return (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return b""
