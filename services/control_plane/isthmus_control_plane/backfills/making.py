"""Backfills as they are written first. Pure."""

from datetime import datetime
from typing import Final

from isthmus.v1.control_plane_pb2 import BackfillPlan, CreateBackfillRequest
from isthmus_store.backfills import new_id
from isthmus_store.record.backfill import NewBackfill

from isthmus_control_plane.backfills.target import Plan
from isthmus_control_plane.key import DEFAULT
from isthmus_control_plane.validation.backfill import MAX_RUNS

#: What of a request is not kept with the backfill: its partitions are rows, and the rest columns.
_FORGOTTEN: Final = ("partition_keys", "ranges", "is_all", "requested_by", "backfill_id")


def kept(request: CreateBackfillRequest) -> CreateBackfillRequest:
    """Return what is kept of a request."""
    asked = CreateBackfillRequest()
    asked.CopyFrom(request)
    for name in _FORGOTTEN:
        asked.ClearField(name)
    return asked


def new_backfill(request: CreateBackfillRequest, *, plan: Plan, at: datetime) -> NewBackfill:
    """Return the backfill of a request."""
    locations = {group.location for group in plan.groups}
    jobs = {group.job_name for group in plan.groups}
    return NewBackfill(
        deployment=request.deployment or DEFAULT,
        backfill_id=request.backfill_id or new_id(),
        location=locations.pop() if len(locations) == 1 else "",
        job_name=jobs.pop() if len(jobs) == 1 else "",
        request=kept(request).SerializeToString(deterministic=True),
        plan=BackfillPlan(groups=plan.groups).SerializeToString(deterministic=True),
        max_runs=request.max_runs or MAX_RUNS,
        requested_by=request.requested_by,
        created_at=at,
        runs=plan.runs,
        blocked=plan.blocked,
    )
