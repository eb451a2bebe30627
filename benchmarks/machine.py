"""The machine: what it is, and how busy others kept it while something was measured."""

import ctypes
import os
import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36
#: Foreign loads that differ by more make a comparison unfair, cores.
_FAIR_CORES = 0.3
_PACKAGES = ("aio-pika", "dagster", "grpcio", "protobuf", "sqlalchemy")


@dataclass
class Load:
    """What happened on the machine while one system was measured."""

    system: str
    wall_s: float = 0.0
    #: CPU seconds of the benchmark, with all that it started.
    own_cpu_s: float = 0.0
    #: CPU seconds of everybody else.
    foreign_cpu_s: float = 0.0
    loadavg_before: str = ""
    loadavg_after: str = ""

    @property
    def foreign_cores(self) -> float:
        """How many cores others kept busy on the average."""
        return self.foreign_cpu_s / self.wall_s if self.wall_s else 0.0


def is_fair(loads: Iterable[Load]) -> bool:
    """Tell whether all were measured beside about the same foreign load, so that their ratios mean something."""
    cores = [load.foreign_cores for load in loads]
    return not cores or max(cores) - min(cores) <= _FAIR_CORES


def adopt_orphans() -> None:
    """Become the parent of whatever our processes leave behind, so that its CPU time is known to be ours."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def facts() -> dict[str, str]:
    """Say what was measured on, without names."""
    versions = {name: metadata.version(name) for name in _PACKAGES}
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = platform.release().split("-")[0]
    return {
        "cores": str(os.cpu_count()),
        "memory": f"{memory_gib:.0f} GiB",
        "system": f"Linux {kernel}",
        "python": platform.python_version(),
        **versions,
    }


@contextmanager
def watched(loads: list[Load], *, system: str) -> Iterator[None]:
    """Add to the list how busy the machine was while the block ran."""
    load = Load(system=system, loadavg_before=_loadavg())
    began, busy, own = time.monotonic(), _busy_s(), _own_s()
    try:
        yield
    finally:
        load.wall_s = time.monotonic() - began
        load.own_cpu_s = _own_s() - own
        load.foreign_cpu_s = max(0.0, _busy_s() - busy - load.own_cpu_s)
        load.loadavg_after = _loadavg()
        loads.append(load)


def cpu_s(roots: Iterable[int]) -> float:
    """Return the CPU seconds of processes with all below them, those that have ended and were waited for among them."""
    every = {pid for root in roots for pid in descendants(root)}
    # utime, stime, cutime, cstime: a child's time moves to its parent when it is waited for, so none counts twice.
    return sum(sum(map(int, fields[11:15])) for pid, fields in _stats() if pid in every) / _TICKS_PER_S


def named(command: str) -> list[int]:
    """Return those of our processes that run a program, its name cut to 15 characters."""
    return [pid for pid in descendants(os.getpid()) if _command(pid) == command]


def descendants(pid: int) -> set[int]:
    """Return a process and all below it."""
    children: dict[int, list[int]] = {}
    for entry, fields in _stats():
        children.setdefault(int(fields[1]), []).append(entry)
    found, todo = set(), [pid]
    while todo:
        one = todo.pop()
        found.add(one)
        todo += children.get(one, [])
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _loadavg() -> str:
    return " ".join(Path("/proc/loadavg").read_text().split()[:3])


def _busy_s() -> float:
    # user, nice, system, then idle and iowait, then irq, softirq, steal
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS_PER_S


def _own_s() -> float:
    return cpu_s([os.getpid()])


def _stats() -> Iterator[tuple[int, list[str]]]:
    """Give every process with the fields of its stat behind the name, state first."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue
            yield int(entry.name), text.rpartition(") ")[2].split()
