"""Starts the zygote: the first thing that a code server does, so that it imports while the server imports its own parts.

For the same reason this module imports next to nothing.
"""

import os
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass

from isthmus_code_server.definitions.instance_address import ADDRESS_VARIABLE
from isthmus_code_server.kernel.interpreter import own_python
from isthmus_code_server.zygote.wire import FrameKind, LoadOrder, frame


@dataclass(frozen=True, eq=False, kw_only=True)
class ZygoteProcess:
    """A zygote, which imports the framework, and the project when it is told which; it goes when the channel is closed."""

    process: "subprocess.Popen[bytes]"
    #: The supervisor's end.
    channel: socket.socket
    #: Where processes below the zygote ask the instance, with "@" for the byte that makes the name abstract.
    instance_address: str

    @classmethod
    def start(cls) -> "ZygoteProcess":
        """Start the process."""
        address = f"@isthmus-instance-{os.urandom(16).hex()}"
        channel, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [*own_python("isthmus_code_server.zygote", "-P"), str(theirs.fileno()), str(os.getpid())],
                pass_fds=(theirs.fileno(),),
                env={**os.environ, ADDRESS_VARIABLE: address},
                stdin=subprocess.DEVNULL,
                # A Ctrl-C at the terminal is for the supervisor: it decides how runs end.
                start_new_session=True,
            )
        return cls(process=process, channel=channel, instance_address=address)

    def load(self, order: LoadOrder) -> None:
        """Tell it what to import. If it is gone already, whoever listens to it finds out."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.channel.sendall(frame(FrameKind.LOAD, order.encode()))

    def abandon(self) -> None:
        """Have it end, before it was told anything."""
        self.channel.close()
        self.process.kill()
        self.process.wait()
