"""Tells whether there is memory for another process like this one."""

from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")
#: What has to be left for the runs themselves, bytes.
RESERVE_BYTES = 256 * 1024**2
_KIB = 1024


def has_room_for_another(*, proc: Path = _PROC, groups: Path = _GROUPS) -> bool:
    """Tell whether a process of this one's size can be started without taking from the runs what they need.

    Args:
        proc: Where the kernel tells of processes and of the machine's memory.
        groups: Where the kernel mounts the control groups.
    """
    needed = _field(proc / "self/status", "VmRSS") + RESERVE_BYTES
    rooms = [_field(proc / "meminfo", "MemAvailable"), *_group_rooms(proc, groups)]
    # What cannot be told is no reason against it.
    return all(room >= needed for room in rooms if room > 0)


def _group_rooms(proc: Path, groups: Path) -> list[int]:
    """Return what the limits of this process's control group leave; where it is mounted as the root, too."""
    rooms = []
    for folder in {groups / _group_path(proc).lstrip("/"), groups}:
        with suppress(OSError, ValueError):
            limit = int((folder / "memory.max").read_text())
            used = int((folder / "memory.current").read_text()) - _cached(folder)
            rooms.append(max(1, limit - used))
    return rooms


def _group_path(proc: Path) -> str:
    with suppress(OSError):
        for line in (proc / "self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return line.removeprefix("0::")
    return ""


def _cached(folder: Path) -> int:
    """Return how much of a group's memory are files' contents that the kernel gives back when it is asked for memory."""
    with suppress(OSError):
        for line in (folder / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "inactive_file":
                return int(value)
    return 0


def _field(path: Path, name: str) -> int:
    with suppress(OSError):
        for line in path.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * _KIB
    return 0
