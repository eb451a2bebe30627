"""Starts the zygote: the first thing that a code server does, so that it imports while the server imports its own parts.

For the same reason this module imports next to nothing.
"""

import os
import socket
import subprocess
import sys
import uuid
from dataclasses import dataclass

from isthmus_code_server.config import Settings
from isthmus_code_server.definitions.instance_client import ADDRESS_VARIABLE
from isthmus_code_server.zygote.wire import FrameKind, LoadOrder, frame

#: How many children wait, forked ahead and warmed, for a run.
SPARES = 2
#: The same where each imports the project itself: it has all of its memory to itself, too.
SPAWNED_SPARES = 1
#: The same where there is one run, and no more after it.
DEDICATED_SPARES = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class ZygoteProcess:
    """A zygote that was told what to import; it goes when the channel is closed."""

    process: "subprocess.Popen[bytes]"
    #: The supervisor's end.
    channel: socket.socket
    #: Where processes below the zygote ask the instance, with "@" for the byte that makes the name abstract.
    instance_address: str

    @classmethod
    def start(cls, order: LoadOrder) -> "ZygoteProcess":
        """Start the process and tell it what to import."""
        address = f"@isthmus-instance-{uuid.uuid4().hex}"
        channel, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "isthmus_code_server.zygote", str(theirs.fileno()), str(os.getpid())],
                pass_fds=(theirs.fileno(),),
                env={**os.environ, ADDRESS_VARIABLE: address},
                stdin=subprocess.DEVNULL,
                # A Ctrl-C at the terminal is for the supervisor: it decides how runs end.
                start_new_session=True,
            )
        channel.sendall(frame(FrameKind.LOAD, order.encode()))
        return cls(process=process, channel=channel, instance_address=address)


def load_order(settings: Settings) -> LoadOrder:
    """Return what the zygote of a code server is to import, and how it starts children."""
    return LoadOrder(
        source=settings.source,
        home=str(settings.home),
        spares=_spares(settings),
        is_spawned=settings.is_spawned,
        is_for_one_run=settings.takes_one_run,
    )


def _spares(settings: Settings) -> int:
    if settings.takes_one_run:
        return DEDICATED_SPARES
    return SPAWNED_SPARES if settings.is_spawned else SPARES
