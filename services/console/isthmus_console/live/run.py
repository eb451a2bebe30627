"""What the page of a run is told: the run's events, and the run whenever it changed."""

from collections.abc import Sequence
from typing import Final

from isthmus.v1.control_plane_pb2 import RunUpdate
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request

from isthmus_console.door.gate import session_of
from isthmus_console.errors import QueryError
from isthmus_console.live.stream import Tell, fragment, in_batches, news, stream
from isthmus_console.site import Site
from isthmus_console.upstream import closing
from isthmus_console.view.event import event_row

HEAD: Final = "_run_head.html"


def live_run(site: Site, request: Request) -> EventSourceResponse:
    """Answer with the stream of a run, after the position that the page has."""
    return stream(site, _Telling(site, request).tell)


def position_of(request: Request) -> int:
    """Return the last position that a page heard of: what the browser says of a broken stream, else the address.

    Raises:
        QueryError: It is no position.
    """
    said = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
    if not said.isascii() or not said.isdigit():
        raise QueryError("after", value=said, remedy="Positions are numbers from 0. Load the page again.")
    return int(said)


class _Telling:
    """Tells one page of one run."""

    def __init__(self, site: Site, request: Request) -> None:
        self._site = site
        self._session = session_of(request)
        self._request = request
        self._run_id: str = request.path_params["run_id"]

    async def tell(self, tell: Tell) -> None:
        async def take(updates: Sequence[RunUpdate]) -> None:
            if rows := [event_row(update) for update in updates if update.HasField("event")]:
                await tell(news("events", rows, last_id=rows[-1]["position"]))
            if any(update.HasField("run") for update in updates):
                await tell(await self._head())

        after = position_of(self._request)
        async with closing(self._site.client.watch_run(self._run_id, after_position=after)) as updates:
            await in_batches(updates, take)

    async def _head(self) -> ServerSentEvent:
        explained = await self._site.client.explain_run(self._run_id)
        return fragment("run-head", self._site.looks.part(HEAD, {"told": explained}, session=self._session))
