"""The way to a code server's socket: to the socket that lies there, and never by a link to another one.

User code can write beside the socket. A link in its place would have the agent call whatever the link names, the container
engine among it. So the socket is opened without following links, and called through that opening.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "unix:"


@dataclass(frozen=True)
class Opening:
    """An open socket file; close it with the channel."""

    fd: int

    @property
    def address(self) -> str:
        """Where to call it, as a gRPC target."""
        return f"{_PREFIX}/proc/self/fd/{self.fd}"

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)


def open_socket(address: str) -> Opening | None:
    """Open what lies at a gRPC target of a unix socket; None when there is no socket, or something else."""
    path = Path(address.removeprefix(_PREFIX))
    try:
        # By its folder, so that a link in the place of that is not followed either.
        folder = os.open(path.parent, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fd = os.open(path.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    finally:
        os.close(folder)
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        os.close(fd)
        return None
    return Opening(fd)
