"""What went wrong, as a page that says what to do."""

from http import HTTPStatus
from typing import Final

from isthmus_client.errors import (
    AccessDeniedError,
    ClientError,
    ConflictError,
    DeadlineError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
    UnsupportedCallError,
)
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isthmus_console.errors import ConsoleError, ForgeryError, QueryError
from isthmus_console.site import Site

_STATUSES: Final[tuple[tuple[type[Exception], HTTPStatus], ...]] = (
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (InvalidRequestError, HTTPStatus.BAD_REQUEST),
    (ConflictError, HTTPStatus.CONFLICT),
    (AccessDeniedError, HTTPStatus.FORBIDDEN),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DeadlineError, HTTPStatus.GATEWAY_TIMEOUT),
    (UnsupportedCallError, HTTPStatus.NOT_IMPLEMENTED),
    (ClientError, HTTPStatus.BAD_GATEWAY),
    (QueryError, HTTPStatus.BAD_REQUEST),
    (ForgeryError, HTTPStatus.FORBIDDEN),
    (ConsoleError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
_TITLES: Final = {
    HTTPStatus.NOT_FOUND: "There is nothing here",
    HTTPStatus.BAD_REQUEST: "That cannot be asked",
    HTTPStatus.CONFLICT: "That cannot be done now",
    HTTPStatus.FORBIDDEN: "That is not allowed",
    HTTPStatus.SERVICE_UNAVAILABLE: "The control plane does not answer",
    HTTPStatus.GATEWAY_TIMEOUT: "The control plane did not answer in time",
    HTTPStatus.NOT_IMPLEMENTED: "The control plane is older than this console",
}
_GO_ON: Final = "Go on from one of those above."
_UNFORESEEN: Final = "The console failed while it made this page."


def show_fault(site: Site, request: Request, error: Exception) -> Response:
    """Show what was refused, or went wrong, with what to do now. Of what nobody foresaw, the log alone tells."""
    match error:
        case ClientError() | ConsoleError():
            status = next(status for kind, status in _STATUSES if isinstance(error, kind))
            return _page(site, request, status=status, text=str(error), remedy=error.remedy)
        case HTTPException(status_code=HTTPStatus.NOT_FOUND):
            return _page(site, request, status=HTTPStatus.NOT_FOUND, text="No page has this address.", remedy=_GO_ON)
        case HTTPException():
            return _page(site, request, status=HTTPStatus(error.status_code), text=error.detail, remedy=_GO_ON)
        case _:
            remedy = "The console's log has the error. Try again."
            return _page(site, request, status=HTTPStatus.INTERNAL_SERVER_ERROR, text=_UNFORESEEN, remedy=remedy)


def _page(site: Site, request: Request, *, status: HTTPStatus, text: str, remedy: str) -> Response:
    title = _TITLES.get(status, "Something went wrong")
    facts: dict[str, object] = {"title": title, "text": text, "remedy": remedy}
    return site.looks.page(request, "fault.html", facts, session=request.scope.get("session_proof"), status=status)
