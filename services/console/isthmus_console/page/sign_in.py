"""Signing in: by a link that is good once, or by the token itself."""

from time import time
from urllib.parse import parse_qs

from isthmus_client.errors import ClientError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from isthmus_console.site import Site, checked_form

_LONGEST_BODY = 8 * 1024


async def show_sign_in(site: Site, request: Request) -> Response:
    """Sign in whoever comes with a fresh ticket; show others how to."""
    following = _following(request.query_params.get("next", ""))
    ticket = request.query_params.get("ticket", "")
    if not ticket:
        return _form(site, request, following=following)
    now_s = time()
    key = site.signer().ticket_key(ticket, now_s=now_s)
    if key is None or not site.tickets.use(key, now_s=now_s):
        text = "This link was used already, or is too old: each is good for one browser. Sign in with the token."
        return _form(site, request, following=following, fault=text, status=403)
    return _signed_in(site, following=following)


async def sign_in(site: Site, request: Request) -> Response:
    """Sign in whoever says the token."""
    fields = parse_qs((await request.body())[:_LONGEST_BODY].decode(errors="replace"))
    following = _following(fields.get("next", [""])[0])
    if not site.signer().is_token(fields.get("token", [""])[0]):
        text = "This is not the control plane's token."
        return _form(site, request, following=following, fault=text, status=403)
    return _signed_in(site, following=following)


async def sign_out(site: Site, request: Request) -> Response:
    """Forget the browser."""
    await checked_form(request)
    answer = RedirectResponse("/sign-in", status_code=303)
    answer.delete_cookie(site.cookie_name, httponly=True, samesite="lax")
    return answer


def _signed_in(site: Site, *, following: str) -> Response:
    days = site.settings.session_days
    answer = RedirectResponse(following, status_code=303)
    answer.set_cookie(
        site.cookie_name,
        site.signer().session(now_s=time(), days=days),
        max_age=int(days * 86400),
        httponly=True,
        # Lax: a link in a chat leads to the page that it names; what changes something carries a proof besides.
        samesite="lax",
    )
    return answer


def _form(site: Site, request: Request, *, following: str, fault: str = "", status: int = 200) -> Response:
    try:
        site.signer()
    except ClientError as error:
        fault, status = " ".join((str(error), error.remedy)), 503
    facts: dict[str, object] = {"next": following, "fault": fault, "address": site.upstream.address}
    return site.looks.page(request, "sign_in.html", facts, session=None, status=status)


def _following(said: str) -> str:
    """Return the page to go on to: one of the console's own, whatever a link says."""
    is_own = said.startswith("/") and not said.startswith(("//", "/\\")) and said.isprintable()
    return said if is_own and not said.startswith("/sign-in") else "/"
