"""Watches whether the kernel kills for memory: its counts, looked at from time to time."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from isthmus_code_server.runs.ending import ChildExit, MemoryKills, is_out_of_memory

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")
#: How old a count must be before it is replaced, seconds: a process that was killed may take that long to be gone.
_SAMPLE_AGE_S = 5.0


class MemoryWatch:
    """The kernel's counts of a moment ago, to hold against those of now."""

    def __init__(self, *, proc: Path = _PROC, groups: Path = _GROUPS) -> None:
        """Read from `proc` and `groups`, as the kernel mounts them."""
        self._proc = proc
        self._groups = groups
        # The older of two, so that the one before is never that of a moment between a kill and our hearing of it.
        self._samples = deque([(time.monotonic(), self._read())], maxlen=2)

    def sample(self) -> None:
        """Look now, if the last look is long enough ago."""
        if time.monotonic() - self._samples[-1][0] >= _SAMPLE_AGE_S:
            self._samples.append((time.monotonic(), self._read()))

    def explains(self, child_exit: ChildExit) -> bool:
        """Tell whether a process that has just ended was killed because memory ran out."""
        _, before = self._samples[0]
        return is_out_of_memory(child_exit, before=before, after=self._read())

    def _read(self) -> MemoryKills:
        return MemoryKills(in_group=self._in_group(), in_all=_count(self._proc / "vmstat") or 0)

    def _in_group(self) -> int | None:
        return next((count for file in self._group_files() if (count := _count(file)) is not None), None)

    def _group_files(self) -> Iterator[Path]:
        """Give the places where the count may be: by the group's full path, or mounted as the root in a container."""
        with suppress(OSError):
            for line in (self._proc / "self/cgroup").read_text().splitlines():
                _, _, rest = line.partition(":")
                controllers, _, path = rest.partition(":")
                for folder in (path.lstrip("/"), ""):
                    if not controllers:
                        yield self._groups / folder / "memory.events"
                    elif "memory" in controllers.split(","):
                        yield self._groups / "memory" / folder / "memory.oom_control"


def _count(path: Path) -> int | None:
    """Return the number behind the word oom_kill in a file of the kernel's; None when there is none."""
    with suppress(OSError):
        for line in path.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill" and value.strip().isdecimal():
                return int(value)
    return None
