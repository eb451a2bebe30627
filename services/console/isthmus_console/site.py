"""What every page works with."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from time import time
from typing import Final
from urllib.parse import parse_qsl

from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import ClientError
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse

from isthmus_console.door.gate import session_of
from isthmus_console.door.session import Session, Signer, Tickets
from isthmus_console.errors import ForgeryError
from isthmus_console.looks import Looks
from isthmus_console.settings import ConsoleSettings
from isthmus_console.upstream import Upstream

#: The field of a form that carries the session's proof.
FORM_TOKEN: Final = "form_token"  # noqa: S105 - a field's name


@dataclass(frozen=True, kw_only=True)
class Site:
    """The parts that pages share."""

    settings: ConsoleSettings
    upstream: Upstream
    looks: Looks
    #: Of this console, so that those of two consoles on one machine do not replace each other.
    cookie_name: str
    tickets: Tickets = field(default_factory=Tickets)
    #: Set when open streams are to end.
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def client(self) -> ControlPlaneClient:
        """The client of the control plane."""
        return self.upstream.client()

    def signer(self) -> Signer:
        """Return who makes and reads proofs with the control plane's token, as it is now."""
        return Signer(self.upstream.token())

    def find_session(self, connection: HTTPConnection) -> Session | None:
        """Return the session of a request; None when it has none, or there is no token to judge it by."""
        cookie = connection.cookies.get(self.cookie_name, "")
        try:
            return self.signer().read_session(cookie, now_s=time())
        except ClientError:
            return None

    def page(self, request: Request, template: str, facts: dict[str, object], *, status: int = 200) -> HTMLResponse:
        """Return a page for somebody who is signed in."""
        return self.looks.page(request, template, facts, session=session_of(request), status=status)


def person(request: Request) -> str:
    """Return as whom the control plane is asked: what its history says of who wanted something."""
    del request  # One token opens a console; who uses it, nobody says.
    return "console"


async def checked_form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form that a page of the console sent.

    Raises:
        ForgeryError: It does not carry the session's own proof.
    """
    body = (await request.body()).decode(errors="replace")
    fields = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=100))
    if not compare_digest(fields.pop(FORM_TOKEN, "").encode(), session_of(request).form_token.encode()):
        raise ForgeryError
    return fields
