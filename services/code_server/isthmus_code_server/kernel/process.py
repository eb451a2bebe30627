"""What Linux is asked for about a process: its death with its parent, its threads, its own group, its end."""

import atexit
import contextlib
import ctypes
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from isthmus_code_server.kernel.family import children_of
from isthmus_code_server.kernel.threads import ending_in_time, is_last_thread

_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a child is to end."""

    exit_code: int = 0
    #: Says that nothing of it is left but its own memory, where that is so: the kernel takes its time to give that back.
    last_word: Callable[[], None] | None = None


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends, and end at once if it has ended already.

    Raises:
        OSError: The kernel does not know the request.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed: Linux is needed")
    # The parent may have gone before the request was in place.
    if os.getppid() != parent_pid:
        os._exit(1)


def disown_finalizers() -> None:
    """Leave to the parent what it is to clean up at its end, as a temporary folder that the project made at import.

    What it registered with `atexit` is done by the child as well: there it may have something of its own to say.
    """
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined] # noqa: SLF001  # there is no other list
        finalizer.atexit = False


def reset_signals() -> None:
    """Give a forked child the signal handlers of a fresh Python."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def reseed() -> None:
    """Give a forked child random numbers of its own, where the library does not do so itself.

    Python's `random` does; numpy's global generator would repeat its sequence in every child.
    """
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        with contextlib.suppress(Exception):
            numpy.random.seed()


def redirect_output(*, stdout: Path, stderr: Path) -> None:
    """Send this process's output, and that of every process it starts, to files; its input is empty."""
    for fd, path in ((1, stdout), (2, stderr)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, fd)
        os.close(file)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # A file would buffer by the block, and what a killed run had said would be lost.
            reconfigure(line_buffering=True)


def exit_code_of(request: SystemExit) -> int:
    """Return the code that Python would exit with, and print what it would print."""
    code = request.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code
    sys.stderr.write(f"{code}\n")
    return 1


def end(ending: Ending) -> NoReturn:
    """End this process almost as Python would end: without tearing down its modules.

    Waits for the threads that are not daemons and runs what libraries registered for the exit. The teardown is left out:
    it takes a zygote a quarter of the time that importing took, a code server's supervisor 40 ms, and a forked child would
    copy page after page of the zygote's memory only to free it. So a file that was left open is not flushed; what stands in
    its buffer would be written by zygote and children alike.
    """
    # threading._shutdown is what the interpreter itself calls to wait for threads.
    for step in (threading._shutdown, atexit._run_exitfuncs):  # type: ignore[attr-defined] # noqa: SLF001
        with contextlib.suppress(BaseException):
            step()
    flush_output()
    # Not where somebody could start a process yet.
    if ending.last_word is not None and is_last_thread() and not children_of(os.getpid()):
        with contextlib.suppress(Exception):
            ending.last_word()
    os._exit(ending.exit_code)


def end_in_time(ending: Ending) -> NoReturn:
    """End a child as `end` does, whether or not what its code left running comes to an end."""
    with ending_in_time(_complain, exit_code=ending.exit_code):
        end(ending)


def _complain(report: str) -> None:
    sys.stderr.write(f"{report}\n")
    flush_output()


def flush_output() -> None:
    """Write what was printed and stands in a buffer."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
