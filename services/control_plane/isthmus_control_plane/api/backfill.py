"""The calls about backfills: each handed to its desk, each record turned into its message."""
# ruff: noqa: N802, D102, ARG002 - gRPC gives the methods names and arguments, and the contract documents them

from typing import Any, Final

import grpc
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.control_plane_pb2_grpc import ControlPlaneServicer
from isthmus.v1.telemetry_pb2 import PartitionRange
from isthmus_store import wire
from isthmus_store.record.backfill import BackfillRun, PlannedRun
from isthmus_store.state import BackfillOutcome, BackfillState

from isthmus_control_plane import clock
from isthmus_control_plane.desk.backfills import BackfillDesk, BackfillView
from isthmus_control_plane.validation.backfill import MAX_RUNS

_Context = grpc.aio.ServicerContext[Any, Any]

#: Runs that a preview tells one by one.
_FIRST: Final = 100


class BackfillService(ControlPlaneServicer):
    """Answers the calls about backfills."""

    def __init__(self, desk: BackfillDesk) -> None:
        self._backfills = desk

    async def CreateBackfill(self, request: api.CreateBackfillRequest, context: _Context) -> api.Backfill:
        return _backfill(await self._backfills.create(request), is_whole=True)

    async def PreviewBackfill(self, request: api.CreateBackfillRequest, context: _Context) -> api.BackfillPreview:
        plan = await self._backfills.preview(request)
        return api.BackfillPreview(
            partitions=sum(it.partitions for it in plan.runs),
            runs=len(plan.runs),
            first_runs=[_planned(it) for it in plan.runs[:_FIRST]],
            max_runs=request.max_runs or MAX_RUNS,
            groups=plan.groups,
        )

    async def ListBackfills(self, request: api.ListBackfillsRequest, context: _Context) -> api.ListBackfillsPage:
        page = await self._backfills.page(request)
        told = [_backfill(it, is_whole=False) for it in page.backfills]
        return api.ListBackfillsPage(backfills=told, next_page_token=page.next_token)

    async def GetBackfill(self, request: api.BackfillRef, context: _Context) -> api.BackfillDetail:
        whole = await self._backfills.get(request)
        decisions = [api.BackfillDecision(at=clock.stamp(it.at), text=it.text, runs=it.runs) for it in whole.decisions]
        return api.BackfillDetail(backfill=_backfill(whole.view, is_whole=True), decisions=decisions)

    async def ListBackfillRuns(
        self, request: api.ListBackfillRunsRequest, context: _Context
    ) -> api.ListBackfillRunsPage:
        page = await self._backfills.runs(request)
        groups = api.BackfillPlan.FromString(page.backfill.plan).groups
        return api.ListBackfillRunsPage(runs=[_run(it) for it in page.runs], has_more=page.has_more, groups=groups)

    async def CancelBackfill(self, request: api.DecideBackfillRequest, context: _Context) -> api.Backfill:
        return _backfill(await self._backfills.cancel(request), is_whole=True)

    async def PauseBackfill(self, request: api.DecideBackfillRequest, context: _Context) -> api.Backfill:
        return _backfill(await self._backfills.pause(request), is_whole=True)

    async def ResumeBackfill(self, request: api.DecideBackfillRequest, context: _Context) -> api.Backfill:
        return _backfill(await self._backfills.resume(request), is_whole=True)

    async def RetryBackfill(self, request: api.RetryBackfillRequest, context: _Context) -> api.Backfill:
        return _backfill(await self._backfills.retry(request), is_whole=True)


def _backfill(view: BackfillView, *, is_whole: bool) -> api.Backfill:
    it = view.backfill
    asked = api.CreateBackfillRequest.FromString(it.request)
    partitions = {count.outcome: count.partitions for count in view.counts}
    waiting = partitions.get(BackfillOutcome.WAITING, 0) + partitions.get(BackfillOutcome.BLOCKED, 0)
    return api.Backfill(
        deployment=it.deployment,
        backfill_id=it.backfill_id,
        state=_state(view),
        location=it.location,
        job_name=it.job_name,
        groups=api.BackfillPlan.FromString(it.plan).groups,
        partitions=sum(partitions.values()),
        runs=sum(count.runs for count in view.counts),
        progress=api.BackfillProgress(
            waiting=waiting,
            under_way=partitions.get(BackfillOutcome.UNDER_WAY, 0),
            succeeded=partitions.get(BackfillOutcome.SUCCEEDED, 0),
            failed=partitions.get(BackfillOutcome.FAILED, 0),
            canceled=partitions.get(BackfillOutcome.CANCELED, 0),
        ),
        max_runs=it.max_runs,
        tags=asked.tags,
        run_config_json=asked.run_config_json if is_whole else "",
        requested_by=it.requested_by,
        created_at=clock.stamp(it.created_at),
        ended_at=clock.optional_stamp(it.ended_at),
        paused_by=it.paused_by,
        paused_at=clock.optional_stamp(it.paused_at),
        parent_backfill_id=it.parent_id,
    )


def _state(view: BackfillView) -> api.BackfillState.ValueType:
    it = view.backfill
    if it.state is BackfillState.RUNNING and it.paused_at is not None:
        return api.BACKFILL_STATE_PAUSED
    return api.BackfillState.Value(f"BACKFILL_STATE_{it.state}")


def _planned(it: PlannedRun) -> api.BackfillRun:
    return api.BackfillRun(
        number=it.number,
        group=it.group,
        partitions=PartitionRange(first=it.first, last=it.last) if it.first else None,
        partition_count=it.partitions,
    )


def _run(it: BackfillRun) -> api.BackfillRun:
    return api.BackfillRun(
        number=it.number,
        group=it.group,
        partitions=PartitionRange(first=it.first, last=it.last) if it.first else None,
        partition_count=it.partitions,
        run_id=it.run_id or "",
        state=api.RunState.ValueType(wire.RUN_STATES.to_wire(it.state) if it.state is not None else 0),
        problem=it.problem,
        is_given_up=it.run_id is None and it.outcome is BackfillOutcome.CANCELED,
    )
