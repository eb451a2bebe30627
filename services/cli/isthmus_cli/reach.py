"""Whether a control plane can be reached, and what to do when it cannot."""

import re
import socket

from isthmus_client.discovery import FoundServer, living_servers
from isthmus_client.errors import UnavailableError

_HOST_AND_PORT = re.compile(r"\[?([^\[\]/]+?)\]?:(\d{1,5})")
#: Seconds for the look: who does not answer so soon is waited for in another way.
_LOOK_S = 0.5


def is_refused(address: str) -> bool:
    """Tell whether nobody listens there: then waiting for a connection would be for nothing."""
    found = _HOST_AND_PORT.fullmatch(address)
    if found is None:
        return False
    try:
        socket.create_connection((found[1], int(found[2])), timeout=_LOOK_S).close()
    except ConnectionRefusedError:
        return True
    except OSError:  # A name that is not found, a silent host: gRPC knows more ways.
        return False
    return False


def unreachable(server: FoundServer, *, why: str) -> UnavailableError:
    """Build the error of a control plane that does not answer, with where its address comes from and what to do."""
    lines = [f"No control plane answers at {server.address}: {why}."]
    if server.source:
        lines.append(f"The address is from {server.source}.")
    elif server.left_behind:
        lines.append(f"The isthmus dev of {server.left_behind.parent.parent} has ended ({server.left_behind}).")
    elif server.searched:
        lines.append(f"No isthmus dev runs here: there is no .isthmus in {server.searched} or a folder above it.")
    others = [] if server.source else [address for address in living_servers() if address != server.address]
    if others:
        remedy = f"Yours that run elsewhere: {', '.join(f'--server {address}' for address in others)}"
    else:
        remedy = "Start one: isthmus dev. Or name another: --server HOST:PORT, or ISTHMUS_SERVER."
    return UnavailableError("\n".join(lines), address=server.address, remedy=remedy)
