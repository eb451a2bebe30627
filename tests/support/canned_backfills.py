# ruff: noqa: N802 - the names of the methods and their arguments are the contract's
"""A control plane that has one backfill."""

from typing import Any

import grpc
from isthmus.v1.control_plane_pb2 import (
    Backfill,
    BackfillDetail,
    BackfillPreview,
    BackfillRun,
    ListBackfillRunsPage,
    ListBackfillsPage,
)
from isthmus.v1.control_plane_pb2_grpc import ControlPlaneServicer

Context = grpc.aio.ServicerContext[Any, Any]


class CannedBackfills(ControlPlaneServicer):
    """Answers the calls about backfills from prepared state."""

    backfill: BackfillDetail
    backfill_runs: list[BackfillRun]
    backfill_preview: BackfillPreview

    async def _take(self, request: Any, context: Context) -> None:
        raise NotImplementedError

    async def CreateBackfill(self, request: Any, context: Context) -> Backfill:
        return await self._one(request, context)

    async def PreviewBackfill(self, request: Any, context: Context) -> BackfillPreview:
        await self._take(request, context)
        return self.backfill_preview

    async def ListBackfills(self, request: Any, context: Context) -> ListBackfillsPage:
        await self._take(request, context)
        is_any = bool(self.backfill.backfill.backfill_id)
        return ListBackfillsPage(backfills=[self.backfill.backfill] if is_any else [])

    async def GetBackfill(self, request: Any, context: Context) -> BackfillDetail:
        await self._take(request, context)
        return self.backfill

    async def ListBackfillRuns(self, request: Any, context: Context) -> ListBackfillRunsPage:
        await self._take(request, context)
        return ListBackfillRunsPage(runs=self.backfill_runs, groups=self.backfill.backfill.groups)

    async def CancelBackfill(self, request: Any, context: Context) -> Backfill:
        return await self._one(request, context)

    async def PauseBackfill(self, request: Any, context: Context) -> Backfill:
        return await self._one(request, context)

    async def ResumeBackfill(self, request: Any, context: Context) -> Backfill:
        return await self._one(request, context)

    async def RetryBackfill(self, request: Any, context: Context) -> Backfill:
        return await self._one(request, context)

    async def _one(self, request: Any, context: Context) -> Backfill:
        await self._take(request, context)
        return self.backfill.backfill
