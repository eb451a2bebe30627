"""By which names the console may be called. Pure.

A page from elsewhere could point a name of its own at this machine and then read what the console says, as if it were the
same site. The browser tells the name by which it called, so what comes under an unknown one is refused.
"""

import ipaddress
from collections.abc import Iterable


def host_of(header: str) -> str:
    """Return the name in a Host header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.rpartition(":")[0].lower() if header.count(":") == 1 else header.lower()


def is_allowed(header: str, *, hosts: Iterable[str]) -> bool:
    """Tell whether a request's Host header names this machine's loopback interface, or one of the hosts."""
    host = host_of(header)
    if host == "localhost" or host in {each.lower() for each in hosts}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
