"""Tells whether processes stand still: every thread of theirs waits for another thread, and none of them has done anything."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

#: The number of the system call futex, by machine: where the kernel does not name what a thread waits in.
_FUTEX = {"x86_64": frozenset({"202", "449", "455"}), "aarch64": frozenset({"98", "449", "455"})}
_MACHINE = os.uname().machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What a process is seen to do at one moment."""

    #: Whether all of its threads wait for a lock, or for another thread.
    is_waiting: bool
    #: What its threads have used of the processors, in the kernel's ticks, and how often they were switched.
    spent: tuple[tuple[int, int], ...] = ()


def look_at(pid: int) -> Look:
    """Look at a process; one that is gone does not wait."""
    tasks = _tasks(pid)
    waits = [_is_in_futex(pid, task) for task in tasks]
    return Look(is_waiting=bool(waits) and all(waits), spent=tuple((task, _switches(pid, task)) for task in tasks))


def stands_still(before: Look, now: Look) -> bool:
    """Tell whether a process did nothing but wait between two looks at it."""
    return before.is_waiting and now.is_waiting and before.spent == now.spent


def leaves_of(pids: Iterable[int]) -> set[int]:
    """Return those of some processes that none of the others was started by."""
    known = set(pids)
    return known - {_parent_of(pid) for pid in known}


def _tasks(pid: int) -> list[int]:
    with suppress(OSError):
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208  # plain names
    return []


def _is_in_futex(pid: int, task: int) -> bool:
    channel = _read(f"/proc/{pid}/task/{task}/wchan")
    if channel not in ("", "0"):
        return "futex" in channel
    return _read(f"/proc/{pid}/task/{task}/syscall").partition(" ")[0] in _FUTEX.get(_MACHINE, frozenset())


def _switches(pid: int, task: int) -> int:
    """Return how often a thread went to sleep or was put off the processor: it grows whenever it does anything."""
    lines = _read(f"/proc/{pid}/task/{task}/status").splitlines()
    return sum(int(line.split()[-1]) for line in lines if "ctxt_switches" in line)


def _parent_of(pid: int) -> int:
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith("PPid:"):
            return int(line.split()[-1])
    return 0


def _read(path: str) -> str:
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123  # a file of the kernel's
        return file.read().strip()
    return ""
