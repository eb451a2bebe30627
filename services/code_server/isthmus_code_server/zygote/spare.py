"""A child that was started ahead of its request, from both sides: it prepares, says so, and waits to be handed a channel."""

import socket
from contextlib import suppress
from dataclasses import dataclass

#: What a spare sends once it has prepared.
_READY = b"\1"
#: What accompanies the channel that a spare is handed.
_HANDOVER = b"\2"


@dataclass(eq=False, kw_only=True)
class Spare:
    """A spare, from its starter's side."""

    pid: int
    channel: socket.socket
    is_ready: bool = False

    def hear(self) -> bool:
        """Take what the spare says; False when it is gone."""
        try:
            said = self.channel.recv(1)
        except OSError:
            said = b""
        self.is_ready = said == _READY
        return self.is_ready

    def hand_over(self, fd: int) -> bool:
        """Give the spare its channel, once; False when it is gone. The descriptor stays the caller's."""
        with self.channel:
            try:
                socket.send_fds(self.channel, [_HANDOVER], [fd])
            except OSError:
                return False
        return True


def wait_for_channel(starter: socket.socket) -> socket.socket | None:
    """Say, as a spare, that everything is prepared, and wait for a channel; None when the starter is gone."""
    with suppress(OSError):
        # Whoever hands the channel over at once has not waited for this, and may have closed its end by now.
        starter.sendall(_READY)
    with suppress(OSError):
        said, fds, _, _ = socket.recv_fds(starter, len(_HANDOVER), 1)
        if said and fds:
            return socket.socket(fileno=fds[0])
    return None
