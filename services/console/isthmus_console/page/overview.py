"""The overview: what runs, what waits and why, what failed, and what needs a hand."""

from collections.abc import Iterable

from isthmus.v1.control_plane_pb2 import Run
from starlette.requests import Request
from starlette.responses import Response

from isthmus_console.site import Site
from isthmus_console.view.deployment import agent_views, location_views
from isthmus_console.view.overview import RunGroups, overview_query


async def show_overview(site: Site, request: Request) -> Response:
    """Show how the deployment does at this moment."""
    page = await site.client.list_runs(overview_query())
    return site.page(request, "overview.html", await overview_facts(site, page.runs))


async def overview_facts(site: Site, runs: Iterable[Run]) -> dict[str, object]:
    """Return what the overview shows, with how agents and locations fare now."""
    locations = location_views(await site.client.list_locations())
    agents = agent_views(await site.client.list_agents())
    return {
        "groups": RunGroups.of(runs),
        "locations": [view for view in locations if view.trouble],
        "agents": [view for view in agents if view.trouble],
        "is_new": not locations,
    }
