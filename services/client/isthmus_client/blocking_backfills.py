"""The client's calls about backfills, for code without an event loop."""

from isthmus.v1.control_plane_pb2 import (
    Backfill,
    BackfillDetail,
    BackfillPreview,
    CreateBackfillRequest,
    ListBackfillRunsPage,
    ListBackfillsPage,
    ListBackfillsRequest,
)

from isthmus_client.blocking_calls import BlockingCalls


class BlockingBackfillCalls(BlockingCalls):
    """What a client asks of backfills; each method returns when it is done."""

    def create_backfill(self, request: CreateBackfillRequest) -> Backfill:
        """Make runs for many partitions, a bounded number at a time; returns as soon as it is accepted."""
        return self._wait(self._client.create_backfill(request))

    def preview_backfill(self, request: CreateBackfillRequest) -> BackfillPreview:
        """Tell how many runs for which partitions `create_backfill` would make. Nothing is written."""
        return self._wait(self._client.preview_backfill(request))

    def list_backfills(self, query: ListBackfillsRequest | None = None) -> ListBackfillsPage:
        """Tell one page of the backfills that a query asks for, newest first; all without one."""
        return self._wait(self._client.list_backfills(query))

    def get_backfill(self, backfill_id: str) -> BackfillDetail:
        """Tell one backfill, with what was decided about it last."""
        return self._wait(self._client.get_backfill(backfill_id))

    def list_backfill_runs(
        self, backfill_id: str, *, is_failed_only: bool = False, page_size: int = 0, after_number: int = 0
    ) -> ListBackfillRunsPage:
        """Tell one page of a backfill's runs, those that are yet to be made among them."""
        return self._wait(
            self._client.list_backfill_runs(
                backfill_id, is_failed_only=is_failed_only, page_size=page_size, after_number=after_number
            )
        )

    def cancel_backfill(self, backfill_id: str, *, requested_by: str = "") -> Backfill:
        """Ask for a backfill's end, and for those of its runs. It is CANCELED when none of them is left."""
        return self._wait(self._client.cancel_backfill(backfill_id, requested_by=requested_by))

    def pause_backfill(self, backfill_id: str, *, requested_by: str = "") -> Backfill:
        """Make no more runs until it is resumed; those that are queued or under way go on."""
        return self._wait(self._client.pause_backfill(backfill_id, requested_by=requested_by))

    def resume_backfill(self, backfill_id: str, *, requested_by: str = "") -> Backfill:
        """Let a paused backfill go on."""
        return self._wait(self._client.resume_backfill(backfill_id, requested_by=requested_by))

    def retry_backfill(self, parent_backfill_id: str, *, backfill_id: str = "", requested_by: str = "") -> Backfill:
        """Make a backfill of what failed or was canceled of one that has ended."""
        return self._wait(
            self._client.retry_backfill(parent_backfill_id, backfill_id=backfill_id, requested_by=requested_by)
        )
