"""The client's calls about backfills."""

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

from isthmus_client.calls import Calls

#: Seconds for a call that writes or counts a row for each of very many partitions.
_LARGE_DEADLINE_S = 120.0


class BackfillCalls(Calls):
    """What a client asks of backfills."""

    async def create_backfill(self, request: CreateBackfillRequest) -> Backfill:
        """Make runs for many partitions, a bounded number at a time; returns as soon as it is accepted.

        With a `backfill_id` of the caller's own it may be called again.
        """
        return await self._call(self._stub.CreateBackfill, self._meant(request), deadline_s=_LARGE_DEADLINE_S)

    async def preview_backfill(self, request: CreateBackfillRequest) -> BackfillPreview:
        """Tell how many runs for which partitions `create_backfill` would make. Nothing is written."""
        return await self._call(self._stub.PreviewBackfill, self._meant(request), deadline_s=_LARGE_DEADLINE_S)

    async def list_backfills(self, query: ListBackfillsRequest | None = None) -> ListBackfillsPage:
        """Tell one page of the backfills that a query asks for, newest first; all without one."""
        return await self._call(self._stub.ListBackfills, self._meant(query or ListBackfillsRequest()))

    async def get_backfill(self, backfill_id: str) -> BackfillDetail:
        """Tell one backfill, with what was decided about it last."""
        request = BackfillRef(deployment=self._deployment, backfill_id=backfill_id)
        return await self._call(self._stub.GetBackfill, request)

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
        return await self._call(self._stub.ListBackfillRuns, request)

    async def cancel_backfill(self, backfill_id: str, *, requested_by: str = "") -> Backfill:
        """Ask for a backfill's end, and for those of its runs. It is CANCELED when none of them is left."""
        return await self._call(self._stub.CancelBackfill, self._decided(backfill_id, requested_by))

    async def pause_backfill(self, backfill_id: str, *, requested_by: str = "") -> Backfill:
        """Make no more runs until it is resumed; those that are queued or under way go on."""
        return await self._call(self._stub.PauseBackfill, self._decided(backfill_id, requested_by))

    async def resume_backfill(self, backfill_id: str, *, requested_by: str = "") -> Backfill:
        """Let a paused backfill go on."""
        return await self._call(self._stub.ResumeBackfill, self._decided(backfill_id, requested_by))

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
        return await self._call(self._stub.RetryBackfill, request)

    def _decided(self, backfill_id: str, requested_by: str) -> DecideBackfillRequest:
        return DecideBackfillRequest(deployment=self._deployment, backfill_id=backfill_id, requested_by=requested_by)
