"""What the overview is told: itself, whenever a run that it shows changes."""

from functools import partial
from typing import Final

from sse_starlette import EventSourceResponse
from starlette.requests import Request

from isthmus_console.door.gate import session_of
from isthmus_console.live.stream import Tell, fragment, stream
from isthmus_console.page.overview import overview_facts
from isthmus_console.site import Site
from isthmus_console.upstream import closing
from isthmus_console.view.overview import overview_query

PART: Final = "_overview.html"


def live_overview(site: Site, request: Request) -> EventSourceResponse:
    """Answer with the stream of the overview."""
    return stream(site, partial(_tell, site, request))


async def _tell(site: Site, request: Request, tell: Tell) -> None:
    async with closing(site.client.watch_runs(overview_query())) as pages:
        async for page in pages:
            facts = await overview_facts(site, page.runs)
            await tell(fragment("overview", site.looks.part(PART, facts, session=session_of(request))))
