"""Threads that go on when the work of a process is done: they are waited for, for a while, and then named.

A thread that is no daemon keeps its process alive. One that never ends would keep a run, or a step, from ever ending.
"""

import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

#: How long threads, and what libraries registered for the exit, may go on once the work is done, seconds.
GRACE_S = 30.0
#: Names another number of seconds, in a location's `env`.
GRACE_VARIABLE = "ISTHMUS_THREADS_GRACE_S"

_WATCHER = "isthmus: end"
_LIBRARY = sysconfig.get_paths()["stdlib"]


def finish(on_late: Callable[[str], None], *, exit_code: int) -> None:
    """Wait for the threads that are not daemons; if they take too long, say who they are and end the process.

    Args:
        on_late: Is told, in a thread of its own, which threads go on and where they stand.
        exit_code: What the process ends with then.
    """
    if _lingering():
        with ending_in_time(on_late, exit_code=exit_code), suppress(KeyboardInterrupt):
            # What the interpreter itself calls to wait for threads; it tells pools of threads to end, too.
            threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001


@contextmanager
def ending_in_time(on_late: Callable[[str], None], *, exit_code: int) -> Iterator[None]:
    """End the process if the block takes longer than the grace; see `finish`."""
    is_over, grace_s = threading.Event(), _grace_s()

    def watch() -> None:
        if not is_over.wait(grace_s):
            try:
                on_late(_report(grace_s))
            finally:
                os._exit(exit_code)

    with suppress(RuntimeError):
        # Without a thread to spare there is nobody to watch.
        threading.Thread(target=watch, name=_WATCHER, daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def _grace_s() -> float:
    with suppress(ValueError):
        grace_s = float(os.environ.get(GRACE_VARIABLE, GRACE_S))
        # Not so for NaN, which compares as nothing.
        if 0 <= grace_s <= threading.TIMEOUT_MAX:
            return grace_s
    return GRACE_S


def _lingering() -> list[threading.Thread]:
    own = (threading.main_thread(), threading.current_thread())
    return [thread for thread in threading.enumerate() if not thread.daemon and thread not in own]


def is_last_thread() -> bool:
    """Tell whether no other thread runs code of the user's in this process, daemon or not."""
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    return all(thread.name == _WATCHER for thread in others)


def _report(grace_s: float) -> str:
    frames = sys._current_frames()  # noqa: SLF001  # documented, for debuggers
    threads = _lingering() or [threading.main_thread()]
    named = ", ".join(f"{thread.name!r} at {_place(frames.get(thread.ident or 0))}" for thread in threads)
    return f"The work is done, but the process went on for {grace_s:g} s and is ended. Its threads: {named}."


def _place(frame: FrameType | None) -> str:
    """Return where a thread stands: in the innermost frame that is not the standard library's."""
    inner = frame
    while (
        frame is not None
        and frame.f_code.co_filename.startswith(_LIBRARY)
        and "site-packages" not in frame.f_code.co_filename
    ):
        frame = frame.f_back
    found = frame or inner
    return f"{found.f_code.co_filename}:{found.f_lineno} in {found.f_code.co_name}" if found else "an unknown place"
