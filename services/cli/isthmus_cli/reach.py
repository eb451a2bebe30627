"""Whether a control plane can be reached, and what to do when it cannot."""

import re
import socket

from isthmus_client.discovery import FoundServer, living_servers
from isthmus_client.errors import UnavailableError

from isthmus_cli.errors import InputError

_HOST_AND_PORT = re.compile(r"\[?([^\[\]/]+?)\]?:(\d{1,5})")
#: What gRPC resolves by itself.
_RESOLVED = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:")
_LAST_PORT = 65535
#: Seconds for the look: who does not answer so soon is waited for in another way.
_LOOK_S = 0.5


def check_form(server: FoundServer) -> None:
    """Refuse what is no address: gRPC would look for it until its patience ends.

    Raises:
        InputError: Names what is wrong with it, who said it, and what to write.
    """
    found = _HOST_AND_PORT.fullmatch(server.address)
    if server.address.startswith(_RESOLVED) or (found and 0 < int(found[2]) <= _LAST_PORT):
        return
    bare = re.sub(r"^\w+://|/.*$", "", server.address)
    host, _, port = bare.partition(":")
    faults = (
        (not host, "it names no host"),
        (not port, "it names no port"),
        (found is not None, f"ports go from 1 to {_LAST_PORT}"),
        (bare != server.address, "an address is no URL"),
    )
    why = next((text for is_wrong, text in faults if is_wrong), "its port is no number")
    meant = bare if _HOST_AND_PORT.fullmatch(bare) and not found else f"{host or 'HOST'}:7070"
    raise InputError(
        f"{server.source} {server.address} is not HOST:PORT: {why}.", remedy=f"Write it as in --server {meant}."
    )


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
