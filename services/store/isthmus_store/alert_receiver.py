"""Receivers of alert policies: by which key their deliveries are kept, and how they are named without their secrets. Pure."""

import hashlib
from collections.abc import Iterator
from urllib.parse import urlsplit

from isthmus.v1.control_plane_pb2 import AlertPolicy, AlertReceiver


def receivers_of(policy: AlertPolicy) -> Iterator[AlertReceiver]:
    """Give a policy's receivers, each address of an e-mail by itself.

    A mail server may refuse one address and take the others: those have their message then, and only the one is tried again.
    """
    for receiver in policy.to:
        if receiver.WhichOneof("kind") != "email":
            yield receiver
            continue
        for address in receiver.email.to:
            alone = AlertReceiver()
            alone.CopyFrom(receiver)
            alone.email.to[:] = [address]
            yield alone


def endpoint_of(deployment: str, receiver: AlertReceiver) -> str:
    """Return the receiver's key: its address may carry secrets, and is not kept with deliveries."""
    said = deployment.encode() + b"\0" + receiver.SerializeToString(deterministic=True)
    return hashlib.sha256(said).hexdigest()[:32]


def receiver_name(receiver: AlertReceiver) -> str:
    """Name a receiver for people: its kind and where it is, and nothing that opens a door."""
    match receiver.WhichOneof("kind"):
        case "webhook":
            return f"webhook {bare_address(receiver.webhook.url)}"
        case "email":
            return f"email {', '.join(receiver.email.to)}"
        case "apprise":
            # What follows the scheme is a token as often as a host.
            return f"apprise {receiver.apprise.partition('://')[0]}://…"
        case _:
            return "unknown"


def without_secrets(receiver: AlertReceiver) -> AlertReceiver:
    """Return what may be shown of a receiver."""
    shown = AlertReceiver()
    shown.CopyFrom(receiver)
    match receiver.WhichOneof("kind"):
        case "webhook":
            shown.webhook.url = bare_address(receiver.webhook.url)
            shown.webhook.secret = _placeholder(receiver.webhook.secret)
            shown.webhook.ClearField("headers")
            shown.webhook.ClearField("body")
        case "email":
            shown.email.server = bare_address(receiver.email.server)
        case "apprise":
            shown.apprise = f"{receiver.apprise.partition('://')[0]}://…"
        case _:
            pass
    return shown


def bare_address(address: str) -> str:
    """Return an address's scheme, host and port: names, paths and queries may be secrets."""
    if address.startswith("${"):
        return _placeholder(address) or "…"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "…"
    if not parts.scheme or not host or "$" in host:
        return "…"
    shown = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    return shown if parts.path in {"", "/"} and not parts.query else f"{shown}/…"


def _placeholder(text: str) -> str:
    """Return a text that is nothing but the name of a variable; anything else is hidden."""
    if not text:
        return ""
    return text if text.startswith("${") and text.endswith("}") and text.count("$") == 1 else "…"
