"""Tries out whether a forked child can use the libraries that a project has imported: in a child that may hang.

The child uses each library that has workers in the way that would make it wait for them. It does nothing of the project's.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from isthmus_code_server.kernel.process import die_with_parent, reset_signals
from isthmus_code_server.kernel.stillness import look_at, stands_still

#: How long a child may take before it is taken to hang, seconds: it needs some tens of milliseconds, and far longer where
#: others want the processors.
DEADLINE_S = 20.0
#: How long a child must have stood still, every thread waiting for another, to be taken to hang, seconds.
STILL_S = 1.0
_LOOK_S = 0.005
#: What a child that came to its end exits with.
_DONE = 0


def hangs_when_forked(*, deadline_s: float = DEADLINE_S) -> str:
    """Fork a child that uses what was imported; returns how it failed, as a clause, or nothing when it did not.

    Args:
        deadline_s: How long the child may take, seconds.
    """
    own_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        _be_probe(own_pid)
    try:
        return _watch(pid, deadline_s=deadline_s)
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _watch(pid: int, *, deadline_s: float) -> str:
    deadline = time.monotonic() + deadline_s
    before, since = look_at(pid), time.monotonic()
    while time.monotonic() < deadline:
        reaped, status = os.waitpid(pid, os.WNOHANG)
        if reaped == pid:
            return _verdict(os.waitstatus_to_exitcode(status))
        now = look_at(pid)
        if not stands_still(before, now):
            before, since = now, time.monotonic()
        elif time.monotonic() - since >= STILL_S:
            return "a process that was forked to try it out waits for ever"
        time.sleep(_LOOK_S)
    return f"a process that was forked to try it out had not ended after {deadline_s:g} s"


def _verdict(exit_code: int) -> str:
    if exit_code == _DONE:
        return ""
    how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    return f"a process that was forked to try it out ended with {how}"


def _be_probe(parent_pid: int) -> NoReturn:
    try:
        die_with_parent(parent_pid)
        reset_signals()
        # What a library says of itself while it is tried out concerns nobody.
        silence = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(silence, fd)
        for use in _USES:
            # An error tells that a library is not as it was expected to be; only hanging and dying count.
            with suppress(Exception):
                use()
    finally:
        os._exit(_DONE)


def _use_thread() -> None:
    thread = threading.Thread(target=bytearray, args=(1 << 20,), daemon=True)
    thread.start()
    thread.join()


def _use_allocator() -> None:
    """Take and give back memory of many sizes: an allocator whose lock another thread held would not return."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    for block in [libc.malloc(1 << size) for size in range(4, 22)]:
        libc.free(block)


def _use_openmp() -> None:
    """Run a region on two threads, in each of the runtimes that are loaded: all of them understand GNU's call."""
    nothing = ctypes.CDLL(None).free
    for path in _loaded(("libgomp", "libomp", "libiomp")):
        runtime = ctypes.CDLL(path)
        runtime.GOMP_parallel(nothing, None, 2, 0)


def _use_numpy() -> None:
    numpy = _imported("numpy")
    square = numpy.ones((256, 256))
    _ = square @ square


def _use_numexpr() -> None:
    _imported("numexpr").evaluate("a + 1", {"a": _imported("numpy").ones(200_000)})


def _use_arrow() -> None:
    arrow = _imported("pyarrow")
    arrow.table({"key": list(range(100)) * 100}).group_by("key").aggregate([("key", "count")])


def _use_polars() -> None:
    polars = _imported("polars")
    polars.DataFrame({"key": range(10_000)}).lazy().group_by("key").agg(polars.len()).collect()


_USES: tuple[Callable[[], None], ...] = (
    _use_thread,
    _use_allocator,
    _use_openmp,
    _use_numpy,
    _use_numexpr,
    _use_arrow,
    _use_polars,
)


def _imported(name: str) -> Any:
    """Return a module that is imported already.

    Raises:
        LookupError: It is not: nothing is imported here.
    """
    module = sys.modules.get(name)
    if module is None:
        raise LookupError(name)
    return module


def _loaded(prefixes: tuple[str, ...]) -> set[str]:
    """Return the files of the libraries in this process whose names begin in one of these ways."""
    found = set()
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123  # of the kernel's
        for line in file:
            path = line.rstrip("\n").partition("/")[2]
            if os.path.basename(path).startswith(prefixes):  # noqa: PTH119  # plain text
                found.add(f"/{path}")
    return found
