"""Ends every process that came from this one: nothing of `isthmus dev` may stay behind."""

import os
import signal
from collections import defaultdict
from contextlib import suppress
from pathlib import Path


def kill_descendants() -> None:
    """Kill all descendants with SIGKILL and reap those that are children."""
    # Whoever was forked between the look and the kill is found in the next round.
    while pids := descendants(os.getpid()):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in pids:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def descendants(root: int) -> list[int]:
    """List the living descendants of a process, parents first."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            parent = _parent_of(entry)
            if parent is not None:
                children[parent].append(int(entry.name))
    found = [root]
    for pid in found:
        found += children[pid]
    return found[1:]


def _parent_of(entry: Path) -> int | None:
    """Read a process's parent; None when it is gone or a zombie."""
    try:
        # The command's name, in parentheses, may hold anything: what follows it is regular.
        state, parent = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state == "Z" else int(parent)
