"""Finds the threads of this process beside the main one, and whose they are.

Python's own threads have names. A thread that a library started is known by the functions that it is in: what stands on
its stack points into the library's code. The kernel tells where the stack is for every thread that waits.
"""

import os
import struct
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

#: How long threads that have just been started, or are about to end, may take to come to rest, seconds. A library's workers
#: look for work for a while before they sleep, and on a busy machine that takes them longer.
SETTLE_S = 2.0
#: Between two looks at threads that are not at rest, seconds.
_LOOK_S = 0.01
#: The most of a stack that is read, bytes.
_MAX_STACK_BYTES = 256 * 1024
_WORD_BYTES = 8
#: Libraries that everybody's threads go through.
_RUNTIMES = ("libc.so", "libc-", "ld-linux", "ld-musl", "libpthread", "libstdc++", "libgcc_s", "libm.so")


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherThread:
    """A thread beside the main one."""

    #: Of a Python thread its own name, of any other the kernel's.
    name: str
    is_python: bool
    #: The file of the library that started a thread which is not Python's; empty when it cannot be told.
    library: str = ""


@dataclass(frozen=True, slots=True)
class _Region:
    """A part of this process's memory that holds a library's code."""

    start: int
    end: int
    path: str


def other_threads(*, settle_s: float = SETTLE_S) -> list[OtherThread]:
    """Return every thread of this process but the main one; those whose owner shows only at rest are waited for.

    Args:
        settle_s: How long they are waited for, seconds.
    """
    deadline = time.monotonic() + settle_s
    while True:  # pauses: until all of them are known, or the time is over
        found = _look()
        if all(thread.is_python or thread.library for thread in found) or time.monotonic() >= deadline:
            return sorted(found, key=lambda thread: (thread.name, thread.library))
        time.sleep(_LOOK_S)


def _look() -> list[OtherThread]:
    named = {thread.native_id: thread.name for thread in threading.enumerate()}
    tasks = [int(name) for name in os.listdir("/proc/self/task") if int(name) != os.getpid()]  # noqa: PTH208  # plain names
    native = [task for task in tasks if task not in named]
    libraries = _libraries_of(native) if native else {}
    found = [OtherThread(name=named[task], is_python=True) for task in tasks if task in named]
    for task in native:
        name = _read_text(f"/proc/self/task/{task}/comm")
        # Without a name it has ended meanwhile.
        if name:
            library = libraries.get(task, "")
            is_python = _is_interpreter(library)
            found.append(OtherThread(name=name, is_python=is_python, library="" if is_python else library))
    return found


def _libraries_of(tasks: Sequence[int]) -> dict[int, str]:
    with suppress(OSError):
        regions, code = _memory()
        with open("/proc/self/mem", "rb", buffering=0) as memory:  # noqa: PTH123  # a file of the kernel's
            return {task: _library_of(task, memory=memory, regions=regions, code=code) for task in tasks}
    return {}


def _library_of(task: int, *, memory: BinaryIO, regions: Sequence[_Region], code: Sequence[_Region]) -> str:
    """Return the file of the outermost code on a thread's stack that is not everybody's; empty when there is none."""
    for address in _outermost_first(_read_stack(task, memory=memory, regions=regions)):
        for region in code:
            if region.start <= address < region.end:
                return region.path
    return ""


def _outermost_first(stack: bytes) -> Iterator[int]:
    count = len(stack) // _WORD_BYTES
    for (address,) in reversed(list(struct.iter_unpack("=Q", stack[: count * _WORD_BYTES]))):
        yield address


def _read_stack(task: int, *, memory: BinaryIO, regions: Sequence[_Region]) -> bytes:
    """Return a waiting thread's stack; nothing for one that runs."""
    words = _read_text(f"/proc/self/task/{task}/syscall").split()
    # "running", or the call's number, its arguments, the stack pointer and the program counter.
    if len(words) < 3:  # noqa: PLR2004  # as above
        return b""
    pointer = int(words[-2], 16)
    for region in regions:
        if region.start <= pointer < region.end:
            memory.seek(max(pointer, region.end - _MAX_STACK_BYTES))
            return memory.read(region.end - memory.tell())
    return b""


def _memory() -> tuple[list[_Region], list[_Region]]:
    """Return the parts of this process's memory, and those among them that hold the code of libraries."""
    regions, code = [], []
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123  # as above
        for line in file:
            place, rights, _, _, _, *path = line.rstrip("\n").split(None, 5)
            start, _, end = place.partition("-")
            region = _Region(int(start, 16), int(end, 16), path[0] if path else "")
            regions.append(region)
            if "x" in rights and region.path.startswith("/") and not _is_runtime(region.path):
                code.append(region)
    return regions, code


def _is_runtime(path: str) -> bool:
    return os.path.basename(path).startswith(_RUNTIMES)  # noqa: PTH119  # the path is text, and may be no file


def _is_interpreter(path: str) -> bool:
    """Tell whether a thread was started by Python itself, past its own list of threads."""
    return os.path.basename(path).startswith("libpython") or path == os.path.realpath(sys.executable)  # noqa: PTH119


def _read_text(path: str) -> str:
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123  # as above
        return file.read().strip()
    return ""
