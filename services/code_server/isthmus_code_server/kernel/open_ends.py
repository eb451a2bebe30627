"""Finds what importing opened that another process would share or could not have: connections, processes, ports, locks."""

import gc
import os
import socket
import subprocess
import sys
from contextlib import suppress

from isthmus_code_server.kernel.family import children_of, name_of

_LOOP = "anon_inode:[eventpoll]"


def connections() -> list[str]:
    """Name the other ends of this process's connections to servers."""
    found = set()
    for fd, target in _open_files():
        if target.startswith("socket:"):
            found.add(_peer_of(fd))
    return sorted(found - {""})


def has_event_loop() -> bool:
    """Tell whether this process has an event loop: who is forked would get its neighbours' events from it."""
    return any(target == _LOOP for _, target in _open_files())


def held_processes() -> list[str]:
    """Name the programs of processes that the project started and has in hand: who is forked would take them for ended."""
    children = children_of(os.getpid())
    if not children:
        return []
    # What was let go of waits there to be reaped.
    loose = {id(one) for one in subprocess._active}  # type: ignore[attr-defined]  # noqa: SLF001  # there is no other list
    popens = [one for one in gc.get_objects() if isinstance(one, subprocess.Popen) and id(one) not in loose]
    multiprocessing = sys.modules.get("multiprocessing.process")
    workers = multiprocessing._children if multiprocessing is not None else ()  # noqa: SLF001  # looking must reap none
    held = {one.pid for one in (*popens, *workers)} & children
    return sorted(name_of(pid) for pid in held)


def exclusive_claims() -> list[str]:
    """Name what this process holds and no other can have meanwhile: addresses that it listens at, files that it locks."""
    sockets = [fd for fd, target in _open_files() if target.startswith("socket:")]
    return sorted({*(_address_of(fd) for fd in sockets), *_locked_files()} - {""})


def _address_of(fd: int) -> str:
    """Return where a socket listens; empty for one that does not, or shares its address with whoever else wants it."""
    with suppress(OSError), socket.socket(fileno=os.dup(fd)) as one:
        is_shared = one.family != socket.AF_UNIX and one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and not is_shared:
            return f"address {one.getsockname()}"
    return ""


def _locked_files() -> set[str]:
    """Return the files that this process holds a lock on which nobody shares, as the kernel's list names them."""
    found = set()
    with suppress(OSError), open("/proc/locks", encoding="ascii", errors="replace") as file:  # noqa: PTH123  # of the kernel's
        for line in file:
            # 1: POSIX  ADVISORY  WRITE 4711 00:2f:1234 0 EOF
            words = line.split()
            if words[3:5] == ["WRITE", str(os.getpid())]:
                found.add(f"file {words[5]}")
    return found


def _open_files() -> list[tuple[int, str]]:
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # plain names
        # The descriptor with which the folder was read is gone.
        with suppress(OSError):
            found.append((int(name), os.readlink(f"/proc/self/fd/{name}")))  # noqa: PTH115  # as above
    return found


def _peer_of(fd: int) -> str:
    """Return where a connection leads; empty for what is none, or leads to a process that we started ourselves."""
    with suppress(OSError), socket.socket(fileno=os.dup(fd)) as one:
        # Single messages, as to a system's log or a collector of figures, get in nobody's way.
        if one.type == socket.SOCK_DGRAM:
            return ""
        peer = one.getpeername()
        if one.family in (socket.AF_INET, socket.AF_INET6):
            return f"{peer[0]}:{peer[1]}"
        # The ends of a pair have no names.
        if one.family == socket.AF_UNIX and peer:
            return peer.decode(errors="replace").replace("\0", "@") if isinstance(peer, bytes) else str(peer)
    return ""
