"""Judges, from what importing a project left running and open, whether a process can be forked and go on; no I/O.

A fork copies one thread. Whatever the others held stays locked in the child for ever, and whoever waits for their work
waits for ever, too. So a thread speaks against forking, unless it is known that its library starts anew in the child. What
is not known is not trusted: a process of its own is started instead, and is ready as quickly when one waits ahead.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from isthmus_code_server.kernel.thread_owners import OtherThread

#: Threads that a library brings up again in a forked child, or does without. Each by the thread's name and its library's
#: file; seen to work in forked children, used before the fork and after it.
_HARMLESS: tuple[Callable[[OtherThread], bool], ...] = (
    # Have handlers for forks: OpenBLAS ends its threads before one, Arrow and jemalloc start anew after it.
    lambda thread: _file(thread).startswith(("libopenblas", "libscipy_openblas")),
    lambda thread: _file(thread).startswith("libarrow"),
    lambda thread: thread.name == "jemalloc_bg_thd",
    # Looks at the number of its process before it uses its threads.
    lambda thread: "/numexpr/" in thread.library,
    # Polars imported, and not used: it only removes what a query that was too large for the memory put on disk.
    lambda thread: thread.name.startswith("polars-ooc"),
)

#: What people call a library, by a part of its path.
_KNOWN_AS = (
    ("/polars", "polars"),
    ("_polars_runtime", "polars"),
    ("cygrpc", "gRPC"),
    ("libgomp", "OpenMP, as scikit-learn, XGBoost and PyTorch use it"),
    ("libomp", "OpenMP"),
    ("libiomp", "OpenMP"),
    ("_duckdb", "DuckDB"),
    ("/torch/", "PyTorch"),
)
#: How many threads are named.
_NAMES = 6
_SITE_PACKAGES = re.compile(r"/(?:site|dist)-packages/([A-Za-z0-9_]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Remains:
    """What importing a project left running and open."""

    threads: Sequence[OtherThread] = ()
    #: Where connections to servers lead.
    connections: Sequence[str] = ()
    has_event_loop: bool = False
    #: Programs of processes that the project has in hand.
    processes: Sequence[str] = ()


def reasons_against(remains: Remains) -> list[str]:
    """Return why a process should not be forked, each as a clause; nothing when it may be."""
    harmful = [thread for thread in remains.threads if not any(is_one(thread) for is_one in _HARMLESS)]
    reasons = []
    if own := _listed(_numberless(thread.name) for thread in harmful if thread.is_python):
        reasons.append(f"importing the project started threads of Python ({own})")
    if libraries := _listed(_known_as(thread) for thread in harmful if not thread.is_python):
        reasons.append(f"importing the project started threads of libraries ({libraries})")
    if remains.connections:
        reasons.append(f"importing the project opened connections (to {_listed(remains.connections)})")
    if remains.has_event_loop:
        reasons.append("importing the project made an event loop")
    if remains.processes:
        reasons.append(f"importing the project started processes that runs would share ({_listed(remains.processes)})")
    return reasons


def _known_as(thread: OtherThread) -> str:
    for part, name in _KNOWN_AS:
        if part in thread.library:
            return name
    if not thread.library:
        return f"an unknown one, {_numberless(thread.name)!r}"
    package = _SITE_PACKAGES.search(thread.library)
    return package[1] if package else _file(thread)


def _listed(names: Iterable[str]) -> str:
    """Name each once, in order, and not too many: the text is a part of what has to be equal from load to load."""
    distinct = sorted(set(names))
    more = f" and {len(distinct) - _NAMES} more" if len(distinct) > _NAMES else ""
    return ", ".join(distinct[:_NAMES]) + more


def _numberless(name: str) -> str:
    """Return a thread's name without what only tells it from its siblings."""
    return re.sub(r"[-_ ]*\d+(?:[-_]\d+)*(?=$| \()", "", name) or name


def _file(thread: OtherThread) -> str:
    return os.path.basename(thread.library)  # noqa: PTH119  # the path is text, and may be no file
