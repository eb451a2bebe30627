"""What the list of runs is told: the runs of its page, whenever one of them changes or another comes."""

from functools import partial
from typing import Final

from sse_starlette import EventSourceResponse
from starlette.requests import Request

from isthmus_console.door.gate import session_of
from isthmus_console.live.stream import Tell, fragment, stream
from isthmus_console.site import Site
from isthmus_console.upstream import closing
from isthmus_console.view.run_filter import RunFilter

ROWS: Final = "_run_rows.html"


def live_runs(site: Site, request: Request) -> EventSourceResponse:
    """Answer with the stream of a list of runs."""
    return stream(site, partial(_tell, site, request))


async def _tell(site: Site, request: Request, tell: Tell) -> None:
    wanted = RunFilter.read(request.query_params.multi_items())
    async with closing(site.client.watch_runs(wanted.message())) as pages:
        async for page in pages:
            facts: dict[str, object] = {"runs": page.runs, "wanted": wanted, "next_page": page.next_page_token}
            await tell(fragment("runs", site.looks.part(ROWS, facts, session=session_of(request))))
