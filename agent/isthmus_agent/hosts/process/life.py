"""One life of a code server's process, watched through a pidfd from its start or adoption to its proven end."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

from isthmus_agent.hosts.host import Server, ServerExit
from isthmus_agent.hosts.process import procfs


class ServerLife:
    """A watched process. Create it on the event loop; `close` it or let `settle` do so."""

    def __init__(self, server: Server, *, pid: int, on_exit: Callable[["ServerLife"], None]) -> None:
        """Watch a process that lives; `on_exit` is called once, on the event loop, when it no longer does.

        Raises:
            OSError: it has ended and was reaped meanwhile, or cannot be watched.
        """
        self.server = server
        self.pid = pid
        self.exited = asyncio.Event()
        self._on_exit = on_exit
        self._exit: ServerExit | None = None
        self._settling = asyncio.Lock()
        self._is_settled = False
        self._fd: int | None = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._fd, self._on_readable)

    def __repr__(self) -> str:
        state = "exited" if self.exited.is_set() else "running"
        return f"<ServerLife {self.server.name} pid {self.pid} {state}>"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this very process; one that has ended is left alone."""
        if self._fd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fd, number)

    def reap(self, *, memory_kills_before: int) -> None:
        """Take down how the process ended; call once, after `exited`.

        Args:
            memory_kills_before: the kernel's count of such kills at a time when the process was alive.
        """
        if self._exit is None:
            self._exit = self._reap(memory_kills_before=memory_kills_before)

    async def settle(self) -> ServerExit:
        """Return how the process ended, once everything that it started is gone too; call after `reap`."""
        async with self._settling:
            if not self._is_settled:
                await asyncio.to_thread(procfs.end_tagged, self.server.incarnation)
                self.close()
                self._is_settled = True
        return self._exit or ServerExit(self.server)

    def close(self) -> None:
        """Stop watching; the process goes on."""
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None

    def _on_readable(self) -> None:
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
        self.exited.set()
        self._on_exit(self)

    def _reap(self, *, memory_kills_before: int) -> ServerExit:
        if self._fd is None:
            return ServerExit(self.server)
        try:
            status = os.waitid(os.P_PIDFD, self._fd, os.WEXITED)
        except ChildProcessError:
            # Adopted: started by an earlier agent, and reaped by whoever became its parent. Nobody tells us its status.
            return ServerExit(self.server)
        if status is None or status.si_code == os.CLD_EXITED:
            return ServerExit(self.server, exit_code=status.si_status if status else None)
        is_memory = status.si_status == signal.SIGKILL and procfs.out_of_memory_kills() > memory_kills_before
        return ServerExit(self.server, signal=status.si_status, is_out_of_memory=is_memory)
