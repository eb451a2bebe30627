"""The client's calls about backfills."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from isthmus.v1.control_plane_pb2 import (
    Backfill,
    BackfillDetail,
    BackfillPreview,
    BackfillRef,
    CreateBackfillRequest,
    DecideBackfillRequest,
    ListBackfillRunsPage,
    ListBackfillRunsRequest,
    ListBackfillsPage,
    ListBackfillsRequest,
    RetryBackfillRequest,
)

if TYPE_CHECKING:
    from isthmus.v1.control_plane_pb2_grpc import ControlPlaneAsyncStub

#: Seconds for a call that writes or counts a row for each of very many partitions.
_LARGE_DEADLINE_S = 120.0


class BackfillCalls:
    """What a client asks of backfills."""

    _deployment: str
    _stub: "ControlPlaneAsyncStub"
    _call: Callable[..., Awaitable[Any]]

    async def create_backfill(self, request: CreateBackfillRequest) -> Backfill:
        """Make runs for many partitions, a bounded number at a time; returns as soon as it is accepted.

        With a `backfill_id` of the caller's own it may be called again.
        """
        made: Backfill = await self._call(
            self._stub.CreateBackfill, self._meant_backfill(request), deadline_s=_LARGE_DEADLINE_S
        )
        return made

    async def preview_backfill(self, request: CreateBackfillRequest) -> BackfillPreview:
        """Tell how many runs for which partitions `create_backfill` would make. Nothing is written."""
        preview: BackfillPreview = await self._call(
            self._stub.PreviewBackfill, self._meant_backfill(request), deadline_s=_LARGE_DEADLINE_S
        )
        return preview

    async def list_backfills(self, query: ListBackfillsRequest | None = None) -> ListBackfillsPage:
        """Tell one page of the backfills that a query asks for, newest first; all without one."""
        request = ListBackfillsRequest()
        request.CopyFrom(query or request)
        request.deployment = request.deployment or self._deployment
        page: ListBackfillsPage = await self._call(self._stub.ListBackfills, request)
        return page

    async def get_backfill(self, backfill_id: str) -> BackfillDetail:
        """Tell one backfill, with what was decided about it last."""
        request = BackfillRef(deployment=self._deployment, backfill_id=backfill_id)
        detail: BackfillDetail = await self._call(self._stub.GetBackfill, request)
        return detail

    async def list_backfill_runs(
        self, backfill_id: str, *, is_failed_only: bool = False, page_size: int = 0, after_number: int = 0
    ) -> ListBackfillRunsPage:
        """Tell one page of a backfill's runs, those that are yet to be made among them."""
        request = ListBackfillRunsRequest(
            deployment=self._deployment,
            backfill_id=backfill_id,
            is_failed_only=is_failed_only,
            page_size=page_size,
            after_number=after_number,
        )
        page: ListBackfillRunsPage = await self._call(self._stub.ListBackfillRuns, request)
        return page

    async def cancel_backfill(self, backfill_id: str, *, requested_by: str = "") -> Backfill:
        """Ask for a backfill's end, and for those of its runs. It is CANCELED when none of them is left."""
        canceled: Backfill = await self._call(self._stub.CancelBackfill, self._decided(backfill_id, requested_by))
        return canceled

    async def pause_backfill(self, backfill_id: str, *, requested_by: str = "") -> Backfill:
        """Make no more runs until it is resumed; those that are queued or under way go on."""
        paused: Backfill = await self._call(self._stub.PauseBackfill, self._decided(backfill_id, requested_by))
        return paused

    async def resume_backfill(self, backfill_id: str, *, requested_by: str = "") -> Backfill:
        """Let a paused backfill go on."""
        resumed: Backfill = await self._call(self._stub.ResumeBackfill, self._decided(backfill_id, requested_by))
        return resumed

    async def retry_backfill(
        self, parent_backfill_id: str, *, backfill_id: str = "", requested_by: str = ""
    ) -> Backfill:
        """Make a backfill of what failed or was canceled of one that has ended."""
        request = RetryBackfillRequest(
            deployment=self._deployment,
            parent_backfill_id=parent_backfill_id,
            backfill_id=backfill_id,
            requested_by=requested_by,
        )
        made: Backfill = await self._call(self._stub.RetryBackfill, request)
        return made

    def _meant_backfill(self, request: CreateBackfillRequest) -> CreateBackfillRequest:
        own = CreateBackfillRequest()
        own.CopyFrom(request)
        own.deployment = own.deployment or self._deployment
        return own

    def _decided(self, backfill_id: str, requested_by: str) -> DecideBackfillRequest:
        return DecideBackfillRequest(deployment=self._deployment, backfill_id=backfill_id, requested_by=requested_by)
