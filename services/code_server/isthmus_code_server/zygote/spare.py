"""A child that was started ahead of its request, from both sides: it prepares, says so, and waits to be handed a channel."""

import select
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

#: What a spare sends once it has prepared.
_READY = b"\1"
#: The same of one that could not import the project: it waits only to say why.
_NOT_LOADED = b"\3"
#: What a spare sends once it has the channel: from then on the request is its own.
_TAKEN = b"\4"
#: After how long without a channel a spare is idle, seconds: whoever waits for it to have imported asks within that time.
_IDLE_AFTER_S = 0.02
#: What accompanies the channel that a spare is handed.
_HANDOVER = b"\2"


@dataclass(eq=False, kw_only=True)
class Spare:
    """A spare, from its starter's side."""

    pid: int
    channel: socket.socket
    is_ready: bool = False
    is_loaded: bool = False
    #: Whether it has the channel that it was handed.
    has_taken: bool = False

    def hear(self) -> bool:
        """Take what the spare says, if it says anything; False when it is gone."""
        try:
            said = self.channel.recv(1, socket.MSG_DONTWAIT)
        except OSError:
            said = b""
        match said:
            case b"\1" | b"\3":
                self.is_ready, self.is_loaded = True, said == _READY
            case b"\4":
                self.has_taken = True
        return bool(said)

    def hand_over(self, fd: int) -> bool:
        """Give the spare its channel, once; False when it is gone. The descriptor stays the caller's.

        One that is about to die may be given it and never take it: `has_taken` tells.
        """
        try:
            socket.send_fds(self.channel, [_HANDOVER], [fd])
        except OSError:
            return False
        return True


def wait_for_channel(
    starter: socket.socket, *, is_loaded: bool = True, when_idle: Callable[[], None] | None = None
) -> socket.socket | None:
    """Say, as a spare, that everything is prepared, and wait for a channel; None when the starter is gone.

    Args:
        starter: Where the starter hears.
        is_loaded: Whether the project could be imported.
        when_idle: What to do if no channel comes at once.
    """
    with suppress(OSError):
        # Whoever hands the channel over at once has not waited for this, and may have closed its end by now.
        starter.sendall(_READY if is_loaded else _NOT_LOADED)
    if when_idle is not None and not _comes_soon(starter):
        when_idle()
    with suppress(OSError):
        said, fds, _, _ = socket.recv_fds(starter, len(_HANDOVER), 1)
        if said and fds:
            with suppress(OSError):
                starter.sendall(_TAKEN)
            return socket.socket(fileno=fds[0])
    return None


def _comes_soon(starter: socket.socket) -> bool:
    poll = select.poll()
    poll.register(starter, select.POLLIN)
    return bool(poll.poll(_IDLE_AFTER_S * 1000))
