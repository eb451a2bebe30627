"""The application: which address leads to which page, and what stands before all of them."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from isthmus_client.errors import ClientError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from isthmus_console.connect.gateway import Gateway
from isthmus_console.connect.method import SERVICE
from isthmus_console.door.gate import SIGN_IN, Gate
from isthmus_console.door.headers import STATIC, SecurityHeaders
from isthmus_console.errors import ConsoleError
from isthmus_console.live.output import live_output
from isthmus_console.live.overview import live_overview
from isthmus_console.live.run import live_run
from isthmus_console.live.runs import live_runs
from isthmus_console.looks import STATIC_FOLDER
from isthmus_console.page import api, deployment, overview, run, runs, sign_in
from isthmus_console.page.fault import show_fault
from isthmus_console.site import Site

Page = Callable[[Site, Request], Awaitable[Response]]
#: A page that stays open, told by a stream.
Live = Callable[[Site, Request], Response]

#: Where the contract's document is, for tools.
DOCUMENT: Final = "/openapi.json"
#: What is not a page: calls, each of which shows whose it is, the document of them, which is public, and built files.
_WITHOUT_SESSION: Final = (f"/{SERVICE}/", DOCUMENT, STATIC)
_PAGES: Final[dict[str, Page]] = {
    "/": overview.show_overview,
    "/runs": runs.show_runs,
    "/runs/{run_id}": run.show_run,
    "/runs/{run_id}/output": run.show_output,
    "/runs/{run_id}/events/{position:int}": run.show_event,
    "/deployment": deployment.show_deployment,
    "/api": api.show_api,
    "/api/{call}": api.show_call,
    DOCUMENT: api.send_document,
    SIGN_IN: sign_in.show_sign_in,
}
_STREAMS: Final[dict[str, Live]] = {
    "/live": live_overview,
    "/runs/live": live_runs,
    "/runs/{run_id}/live": live_run,
    "/runs/{run_id}/output/live": live_output,
}
_ACTIONS: Final[dict[str, Page]] = {
    "/runs/{run_id}/terminate": run.terminate,
    "/runs/{run_id}/reexecute": run.reexecute,
    SIGN_IN: sign_in.sign_in,
    "/sign-out": sign_in.sign_out,
}


def application(site: Site, *, gateway: Gateway) -> ASGIApp:
    """Return the ASGI application of a console, with the gate before it and the headers on whatever it answers.

    Args:
        site: What pages work with.
        gateway: Answers the calls over HTTP.
    """

    async def is_signed_in(_request: Request) -> Response:
        # Whoever is not does not come as far as this.
        return Response(status_code=204)

    async def show_error(request: Request, error: Exception) -> Response:
        return show_fault(site, request, error)

    pages = Starlette(
        routes=[
            Route("/session", is_signed_in),
            # Before the pages, one of which has a run's id in this place.
            *(Route(path, _served(live, site)) for path, live in _STREAMS.items()),
            *(Route(path, partial(page, site)) for path, page in _PAGES.items()),
            *(Route(path, partial(action, site), methods=["POST"]) for path, action in _ACTIONS.items()),
            Route(f"/{SERVICE}/{{method}}", gateway.serve, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC_FOLDER)),
        ],
        exception_handlers={
            ClientError: show_error,
            ConsoleError: show_error,
            HTTPException: show_error,
            Exception: show_error,
        },
    )
    return SecurityHeaders(
        Gate(pages, hosts=site.settings.hosts, find_session=site.find_session, without_session=_WITHOUT_SESSION)
    )


def _served(live: Live, site: Site) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return live(site, request)

    return serve
