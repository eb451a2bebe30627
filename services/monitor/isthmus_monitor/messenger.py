"""A process that brings one alert to one receiver by SMTP or Apprise, and ends: neither costs the monitor memory or time.

It is told what to send on its standard input, as one JSON object, and tells on its standard output what came of it.
"""

import json
import smtplib
import ssl
import sys
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any, Final
from urllib.parse import unquote, urlsplit

#: Seconds that each step of a conversation may take; the monitor ends this process before long ones add up.
_STEP_S: Final = 15.0


def main() -> None:
    """Send what the standard input says, and tell what came of it."""
    said: Mapping[str, Any] = json.load(sys.stdin)
    # Libraries print what they like; the answer has the output to itself.
    answer, sys.stdout = sys.stdout, sys.stderr
    try:
        problem = _WAYS[said["way"]](said)
    except Exception as error:  # noqa: BLE001 - this process is the boundary: what goes wrong is its answer
        # The type alone: the text may quote the address.
        problem = f"{type(error).__name__} {getattr(error, 'smtp_code', '')}".strip()
    json.dump({"problem": problem}, answer)


def _mail(said: Mapping[str, Any]) -> str:
    """Send an e-mail; returns what went wrong, empty for nothing."""
    parts = urlsplit(said["server"])
    host, is_tls = parts.hostname or "", parts.scheme == "smtps"
    context = ssl.create_default_context()
    if is_tls:
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=_STEP_S, context=context)
    else:
        server = smtplib.SMTP(host, parts.port or 587, timeout=_STEP_S)
    with server:
        server.ehlo()
        if not is_tls and server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
        if parts.username:
            if not is_tls and not server.has_extn("starttls") and not _is_here(host):
                return "the server offers no encryption, and a password is not sent without"
            server.login(unquote(parts.username), unquote(parts.password or ""))
        try:
            server.send_message(_letter(said))
        except smtplib.SMTPRecipientsRefused as error:
            # One address: see `alert_receiver.receivers_of`.
            codes = sorted({code for code, _ in error.recipients.values()})
            return f"the mail server refuses the address ({', '.join(map(str, codes))})"
    return ""


def _is_here(host: str) -> bool:
    return host in {"localhost", "127.0.0.1", "::1"}


def _letter(said: Mapping[str, Any]) -> EmailMessage:
    letter = EmailMessage()
    letter["Subject"] = " ".join(said["title"].split())
    letter["From"] = _address(said["from"])
    letter["To"] = [_address(it) for it in said["to"]]
    # The same over all tries: mail servers and readers tell repeats by it.
    letter["Message-ID"] = f"<{said['id']}@isthmus>"
    letter["X-Isthmus-Policy"] = said["policy"]
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(
        f"{said['title']}\n\n{said['text']}\n\nDeployment {said['deployment']}, policy {said['policy']}.\n"
    )
    return letter


def _address(text: str) -> Address:
    name, address = parseaddr(text)
    return Address(display_name=name, addr_spec=address)


def _apprise(said: Mapping[str, Any]) -> str:
    """Send by Apprise; returns what went wrong, empty for nothing."""
    import apprise

    sender = apprise.Apprise()
    if not sender.add(said["address"]):
        return "Apprise knows no such address"
    kind = apprise.NotifyType.SUCCESS if said["action"] == "resolve" else apprise.NotifyType.FAILURE
    # Apprise says no more than whether.
    body = said["text"] or said["title"]
    return "" if sender.notify(title=said["title"], body=body, notify_type=kind) else "Apprise did not get it through"


_WAYS: Final = {"email": _mail, "apprise": _apprise}


if __name__ == "__main__":
    main()
