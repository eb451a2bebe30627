"""The list of runs."""

from starlette.requests import Request
from starlette.responses import Response

from isthmus_console.site import Site
from isthmus_console.view.run_filter import STATES, RunFilter


async def show_runs(site: Site, request: Request) -> Response:
    """Show a page of the runs that the address asks for, newest first."""
    wanted = RunFilter.read(request.query_params.multi_items())
    page = await site.client.list_runs(wanted.message())
    facts: dict[str, object] = {
        "runs": page.runs,
        "next_page": page.next_page_token,
        "wanted": wanted,
        "states": STATES,
        "locations": [location.settings.name for location in await site.client.list_locations()],
    }
    return site.page(request, "runs.html", facts)
