"""The API over HTTP: its calls, and what each takes and gives, as the contract's own document says it."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isthmus_console.connect import document
from isthmus_console.site import Site


async def show_api(site: Site, request: Request) -> Response:
    """List the calls."""
    return site.page(request, "api.html", {"calls": document.calls().values()})


async def show_call(site: Site, request: Request) -> Response:
    """Show one call."""
    call = document.calls().get(request.path_params["call"])
    if call is None:
        raise HTTPException(404)
    address = f"{request.url.scheme}://{request.url.netloc}"
    return site.page(request, "api_call.html", {"call": call, "kinds": document.kinds_of(call), "address": address})


async def send_document(site: Site, request: Request) -> Response:
    """Answer with the document itself, for tools: also to who is not signed in, as the contract is public."""
    del site, request
    return Response(document.text(), media_type="application/json")
