"""Where the API and the console of `isthmus dev` listen."""

import socket

from isthmus_dev.errors import DevError

HOST = "127.0.0.1"
#: Where the console is, where nothing else is.
CONSOLE_PORT = 7071


def check_port(port: int, *, option: str = "--port") -> None:
    """Find out now, not after the broker's start, that something else listens."""
    try:
        _try(port)
    except OSError as error:
        raise DevError(
            f"Port {port} is taken: {error.strerror}.",
            remedy=f"Stop what listens there, or choose another with {option} (0 for any).",
        ) from error


def console_port(wanted: int | None) -> int:
    """Return where the console is to listen: where somebody wants it, else at its usual port, or at any where that is taken.

    Raises:
        DevError: Something else listens where somebody wants it.
    """
    if wanted is not None:
        check_port(wanted, option="--console-port")
        return wanted
    try:
        _try(CONSOLE_PORT)
    except OSError:
        return 0
    return CONSOLE_PORT


def _try(port: int) -> None:
    with socket.socket() as probe:
        # As a service's own socket: a port whose last user has just gone is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
