"""Where the API of `isthmus dev` listens."""

import socket

from isthmus_dev.errors import DevError

HOST = "127.0.0.1"


def check_port(port: int) -> None:
    """Find out now, not after the broker's start, that something else listens."""
    with socket.socket() as probe:
        # As the control plane's own socket: a port whose last user has just gone is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise DevError(
                f"Port {port} is taken: {error.strerror}.",
                remedy="Stop what listens there, or choose another with --port (0 for any).",
            ) from error
