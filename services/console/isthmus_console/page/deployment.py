"""The deployment: its locations and agents, those that need a hand first, and its queue."""

from starlette.requests import Request
from starlette.responses import Response

from isthmus_console.site import Site
from isthmus_console.view.deployment import agent_views, location_views


async def show_deployment(site: Site, request: Request) -> Response:
    """Show locations, agents, and what limits the queue."""
    facts: dict[str, object] = {
        "locations": location_views(await site.client.list_locations()),
        "agents": agent_views(await site.client.list_agents()),
        "queue": await site.client.get_queue(),
    }
    return site.page(request, "deployment.html", facts)
