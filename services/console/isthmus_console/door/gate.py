"""The gate before every page: the right name, the right origin, and a session.

Whoever has no session gets the page that signs in, and what no session stands before: built files, which are the same for
everybody, and calls, which show themselves whose they are.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import URL, Headers
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from isthmus_console.door.host import is_allowed
from isthmus_console.door.session import Session

SIGN_IN: Final = "/sign-in"
_READING: Final = frozenset({"GET", "HEAD"})

#: Tells the session of a connection; None when it has none.
FindSession = Callable[[HTTPConnection], Session | None]


class Gate:
    """Lets through to an application what may come in."""

    def __init__(
        self, app: ASGIApp, *, hosts: tuple[str, ...], find_session: FindSession, without_session: tuple[str, ...]
    ) -> None:
        """Stand before an application.

        Args:
            app: The application.
            hosts: The names that it answers to besides this machine's.
            find_session: Tells whose a request is.
            without_session: How the addresses begin that no session stands before.
        """
        self._app = app
        self._hosts = hosts
        self._find_session = find_session
        self._without_session = without_session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or refuse it; connections that are no requests are passed on to be refused there."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if refusal := self._refusal(connection, method=str(scope["method"])):
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, connection: HTTPConnection, *, method: str) -> Response | None:
        headers, path = connection.headers, connection.url.path
        if not is_allowed(headers.get("host", ""), hosts=self._hosts):
            text = (
                "This console does not answer to that name. Call it by 127.0.0.1 or localhost, or add the name to "
                "ISTHMUS_CONSOLE_HOSTS.\n"
            )
            return PlainTextResponse(text, status_code=421)
        if path.startswith(self._without_session):
            return None
        if method not in _READING and not _is_of_own_page(headers):
            return PlainTextResponse("Only pages of this console may change something.\n", status_code=403)
        if path == SIGN_IN:
            return None
        session = self._find_session(connection)
        if session is None:
            return _to_sign_in(connection, method=method)
        connection.scope["session_proof"] = session
        return None


def session_of(connection: HTTPConnection) -> Session:
    """Return the session with which a request came through the gate."""
    found: Session = connection.scope["session_proof"]
    return found


def _is_of_own_page(headers: Headers) -> bool:
    """Tell whether a browser says that a request comes from a page of the console; every browser says so of such requests."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin", "")
    return bool(origin) and URL(origin).netloc == headers.get("host", "")


def _to_sign_in(connection: HTTPConnection, *, method: str) -> Response:
    is_page = method in _READING and connection.headers.get("accept", "").startswith("text/html")
    if not is_page:
        return PlainTextResponse("Sign in first.\n", status_code=401)
    wanted = connection.url.path + (f"?{connection.url.query}" if connection.url.query else "")
    return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': wanted})}", status_code=303)
