"""Watches whether the kernel kills for memory: its counts, looked at from time to time.

The kernel says how many processes it has killed, and to nobody without privileges which. So a process that SIGKILL ended
is told as out of memory if the count has grown of late. What that can tell apart: a kill -9 from a memory kill that was
more than some ten seconds ago, or, for a step's process, before it began. What it cannot: of several processes that
SIGKILL ended within those seconds, or of one and a subprocess of it, whom the kernel has killed. All of them are told as
out of memory then: memory did run out, and whoever was killed by hand meanwhile has somebody who knows.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isthmus_code_server.attempts.ending import ChildExit, MemoryKills, is_out_of_memory

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")
#: How old a count must be before it is replaced, seconds: a process that was killed may take that long to be gone.
_SAMPLE_AGE_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class MemorySample:
    """The kernel's counts at one moment."""

    #: Seconds of the watch's own clock.
    taken_at: float
    kills: MemoryKills


class MemoryWatch:
    """The kernel's counts of a moment ago, to hold against those of now."""

    def __init__(
        self, *, proc: Path = _PROC, groups: Path = _GROUPS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read from `proc` and `groups`, as the kernel mounts them; `clock` gives seconds that only grow."""
        self._proc = proc
        self._groups = groups
        self._clock = clock
        # The older of two, so that the one before is never that of a moment between a kill and our hearing of it.
        self._samples = deque([self.now()], maxlen=2)

    def now(self) -> MemorySample:
        """Count now, as for a process that is about to start."""
        return MemorySample(taken_at=self._clock(), kills=self._read())

    def sample(self) -> None:
        """Look now, if the last look is long enough ago."""
        if self._clock() - self._samples[-1].taken_at >= _SAMPLE_AGE_S:
            self._samples.append(self.now())

    def explains(self, child_exit: ChildExit, *, at_start: MemorySample | None = None) -> bool:
        """Tell whether a process that has just ended was killed because memory ran out.

        Args:
            child_exit: How it ended.
            at_start: What was counted right before it started, where that is known: later than the last looks for one
                that did not live long.
        """
        before = self._samples[0]
        if at_start is not None and at_start.taken_at >= before.taken_at:
            before = at_start
        return is_out_of_memory(child_exit, before=before.kills, after=self._read())

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
