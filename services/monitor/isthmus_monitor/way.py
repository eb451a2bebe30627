"""Which proxy leads to a receiver of alerts, as the environment says it: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY."""

import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_of(url: str) -> str | None:
    """Return the address of the proxy that a request to a URL goes through; None where it goes straight."""
    parts = urlsplit(url)
    host, proxies = parts.hostname or "", getproxies()
    if _is_on_this_machine(host) or proxy_bypass(host):
        return None
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if "://" not in proxy:
        return f"http://{proxy}" if proxy else None
    # Others, as SOCKS, are not spoken here.
    return proxy if proxy.startswith(("http://", "https://")) else None


def _is_on_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
