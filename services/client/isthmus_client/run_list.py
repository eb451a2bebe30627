"""The client's calls about runs as a list."""

from collections.abc import AsyncIterator

from isthmus.v1.control_plane_pb2 import ListRunsPage, ListRunsQuery, Run

from isthmus_client.calls import Calls
from isthmus_client.resume import resumed


class RunListCalls(Calls):
    """What a client is told of many runs."""

    async def list_runs(self, query: ListRunsQuery) -> ListRunsPage:
        """Tell a page of runs, newest first."""
        return await self._call(self._stub.ListRuns, self._meant(query))

    async def watch_runs(self, query: ListRunsQuery) -> AsyncIterator[ListRunsPage]:
        """Tell a page of runs, newest first, now and after each change of what it shows; reconnects by itself."""
        message = self._meant(query)
        known: dict[str, Run] = {}
        async for news in resumed(
            lambda: self._stub.WatchRuns(message, metadata=self._metadata),
            is_last=lambda _: False,
            method="WatchRuns",
            callee=self._callee,
        ):
            # Each stream begins with all runs of the page: what an earlier one told is replaced.
            known |= {run.request.run.run_id: run for run in news.changed}
            known = {run_id: known[run_id] for run_id in news.run_ids}
            yield ListRunsPage(runs=known.values(), next_page_token=news.next_page_token)
