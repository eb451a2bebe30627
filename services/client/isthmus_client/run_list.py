"""The client's calls about runs as a list."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
from isthmus.v1.control_plane_pb2 import ListRunsPage, ListRunsQuery, Run

from isthmus_client.resume import resumed
from isthmus_client.status import Callee

if TYPE_CHECKING:
    from isthmus.v1.control_plane_pb2_grpc import ControlPlaneAsyncStub


class RunListCalls:
    """What a client is told of many runs."""

    _deployment: str
    _stub: "ControlPlaneAsyncStub"
    _channel: grpc.aio.Channel
    _callee: Callee
    _metadata: tuple[tuple[str, str], ...]
    _call: Callable[..., Awaitable[Any]]

    async def list_runs(self, query: ListRunsQuery) -> ListRunsPage:
        """Tell a page of runs, newest first."""
        page: ListRunsPage = await self._call(self._stub.ListRuns, self._asked(query))
        return page

    async def watch_runs(self, query: ListRunsQuery) -> AsyncIterator[ListRunsPage]:
        """Tell a page of runs, newest first, now and after each change of what it shows; reconnects by itself."""
        message = self._asked(query)
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

    @property
    def is_connected(self) -> bool:
        """Whether the control plane can be heard at this moment."""
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    def _asked(self, query: ListRunsQuery) -> ListRunsQuery:
        message = ListRunsQuery()
        message.CopyFrom(query)
        message.deployment = message.deployment or self._deployment
        return message
