"""How the channel to the control plane behaves: sizes, retries of a call, the pause before a new connection, the way there."""

import ipaddress
import json
import re

#: Bytes of one message: a location's snapshot may be large.
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024

# Each call may be repeated: a launch carries its run id from the first try on.
_SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": "isthmus.v1.ControlPlane"}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            },
        ],
    },
)
_OPTIONS = (
    ("grpc.service_config", _SERVICE_CONFIG),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
#: An address as gRPC takes it: `host`, `host:port`, `[::1]:port`, each perhaps behind `dns:///`.
_HOST = re.compile(r"(?:dns:(?://[^/]*/)?)?(?:\[(?P<six>[^\]]+)\]|(?P<plain>[^:/]+))(?::\d+)?")


def channel_options(address: str) -> tuple[tuple[str, str | int], ...]:
    """Return the options of a channel to an address."""
    # gRPC would take the proxy of the environment also to this machine, and there `localhost` is the proxy's own machine.
    return (*_OPTIONS, ("grpc.enable_http_proxy", 0)) if is_on_this_machine(address) else _OPTIONS


def is_on_this_machine(address: str) -> bool:
    """Tell whether an address is one of the loopback interface, or the one that stands for every interface."""
    found = _HOST.fullmatch(address)
    if found is None:
        return False
    host = found["six"] or found["plain"]
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address_of_host = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address_of_host.is_loopback or address_of_host.is_unspecified
