"""A page of the list of runs, told as it changes."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus_store.record.run import Run

from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.runs import RunDesk
from isthmus_control_plane.errors import StoppingError

#: How often a page is looked at when nothing wakes its watcher, seconds: why runs wait may have changed.
_POLL_S: Final = 2.0
#: How long a page that was looked at is left alone at the least, seconds; and by how much longer than the look took.
_REST_S: Final = 0.2
_REST_FACTOR: Final = 5.0


@dataclass(frozen=True, slots=True)
class PageNews:
    """A page as it is now, and what of it was not told before."""

    run_ids: Sequence[str]
    changed: Sequence[Run]
    tags: Mapping[str, Mapping[str, str]]
    next_page_token: str


class RunListDesk:
    """Tells pages of runs."""

    def __init__(self, core: Core, *, runs: RunDesk) -> None:
        self._core = core
        self._runs = runs

    async def watch(self, query: api.ListRunsQuery) -> AsyncGenerator[PageNews, None]:
        """Yield the page that a query asks for, whole at first, and what changed of it whenever something did.

        However many runs move, a page is looked at a few times a second, and less often where a look takes long.

        Raises:
            StoppingError: The service stops; the caller asks another one for the page.
        """
        clock = asyncio.get_running_loop().time
        told: dict[str, Run] | None = None
        token = ""
        with self._core.hub.any_run() as wake:
            while not self._core.hub.is_closed:
                began_at = clock()
                page = await self._runs.page(query)
                now = {run.run_id: _shown(run) for run in page.runs}
                next_token = page.next.encode() if page.next is not None else ""
                if told is None or list(told) != list(now) or told != now or token != next_token:
                    changed = [run for run in page.runs if told is None or told.get(run.run_id) != now[run.run_id]]
                    yield PageNews(list(now), changed, await self._runs.tags(changed), next_token)
                told, token = now, next_token
                await asyncio.sleep(max(_REST_S, _REST_FACTOR * (clock() - began_at)))
                await wake.wait(at_most_s=_POLL_S)
        raise StoppingError


def _shown(run: Run) -> Run:
    """Return what a list shows of a run: not what changes while nothing happens to it."""
    return replace(run, vouched_at=None, last_position=0, end_asked_at=None, line="")
