"""Starts children by forking the zygote."""

import gc
import os
import socket
import traceback
from collections.abc import Callable, Iterable
from typing import NoReturn

from isthmus_code_server.definitions.port import Definitions
from isthmus_code_server.kernel.family import adopt_orphans
from isthmus_code_server.kernel.process import (
    Ending,
    die_with_parent,
    disown_finalizers,
    end_in_time,
    reseed,
    reset_signals,
)
from isthmus_code_server.zygote.spare import Spare, wait_for_channel

#: Does a child's work and returns how it is to end.
ChildMain = Callable[[socket.socket, Definitions], Ending]


class Forking:
    """Children that have the definitions because the zygote has them."""

    #: Forking anew takes less time than what a spare still has to do.
    takes_unready_spares = False

    def __init__(self, definitions: Definitions, *, child_main: ChildMain, leaves_children: bool = False) -> None:
        self._definitions = definitions
        self._leaves_children = leaves_children
        self._child_main = child_main

    def start(self, fd: int, *, inherited: Iterable[socket.socket]) -> int:
        """Fork a child that serves a channel at once; returns its process id.

        Args:
            fd: The channel. It stays the caller's.
            inherited: The zygote's own sockets, which the child has no business with.
        """

        def serve() -> Ending:
            self._adopt()
            with socket.socket(fileno=fd) as channel:
                return self._child_main(channel, self._definitions)

        return fork_child(serve, inherited=inherited)

    def start_ahead(self, *, inherited: Iterable[socket.socket]) -> Spare:
        """Fork a child that does what a first run pays for, then waits for its channel."""
        ours, theirs = socket.socketpair()

        def serve() -> Ending:
            self._adopt()
            self._definitions.warm_up()
            # What the warming left behind stays: collecting it would copy more pages.
            gc.freeze()
            with theirs:
                channel = wait_for_channel(theirs)
            if channel is None:
                return Ending()
            reseed()
            with channel:
                return self._child_main(channel, self._definitions)

        with theirs:
            return Spare(pid=fork_child(serve, inherited=(*inherited, ours)), channel=ours)

    def has_room(self) -> bool:
        """Tell whether there is memory for one more, which shares nearly all of its memory with the zygote."""
        return True

    def _adopt(self) -> None:
        if not self._leaves_children:
            adopt_orphans()


def fork_child(serve: Callable[[], Ending], *, inherited: Iterable[socket.socket]) -> int:
    """Fork a child of the zygote that does its work in a session of its own, and ends; returns its process id.

    Args:
        serve: The work; it returns how the child is to end.
        inherited: The zygote's own sockets, which the child has no business with.
    """
    zygote_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        _be_child(serve, inherited=inherited, zygote_pid=zygote_pid)
    return pid


def _be_child(serve: Callable[[], Ending], *, inherited: Iterable[socket.socket], zygote_pid: int) -> NoReturn:
    """Do a child's work and end; nothing returns into the zygote's loop."""
    ending = Ending(exit_code=1)
    try:
        reset_signals()
        disown_finalizers()
        os.setsid()
        die_with_parent(zygote_pid)
        for channel in inherited:
            channel.close()
        reseed()
        ending = serve()
    except BaseException:  # noqa: BLE001  # nothing may return into the zygote's loop
        traceback.print_exc()
    finally:
        end_in_time(ending)
