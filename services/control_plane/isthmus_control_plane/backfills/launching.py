"""The launches that a backfill is made of. Pure."""

from typing import Final
from uuid import NAMESPACE_URL, uuid5

from isthmus.v1.control_plane_pb2 import BackfillPlan, CreateBackfillRequest
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import RunRef
from isthmus_store.queue_line import PRIORITY_TAG
from isthmus_store.record.backfill import Backfill, PlannedRun

from isthmus_control_plane.dispatching.acceptance import Launch

BACKFILL_TAG: Final = "dagster/backfill"
_PARENT_TAG: Final = "dagster/parent_backfill_id"
_ROOT_TAG: Final = "dagster/root_backfill_id"
_FIRST_TAG: Final = "dagster/asset_partition_range_start"
_LAST_TAG: Final = "dagster/asset_partition_range_end"
#: Runs of people, schedules and sensors go first.
PRIORITY: Final = "-1"


def run_id_of(it: Backfill, *, number: int) -> str:
    """Return the id of a backfill's run: always the same, so that none is made twice, whatever dies."""
    return str(uuid5(NAMESPACE_URL, f"isthmus:backfill:{it.deployment}:{it.id}:{it.backfill_id}:{number}"))


def launch_of(it: Backfill, planned: PlannedRun, *, asked: CreateBackfillRequest, plan: BackfillPlan) -> Launch:
    """Return the launch of one run: of a partition, or of those of a range, which Dagster tells by tags."""
    tags = {PRIORITY_TAG: PRIORITY, **asked.tags, BACKFILL_TAG: it.backfill_id}
    if it.parent_id:
        tags |= {_PARENT_TAG: it.parent_id, _ROOT_TAG: it.root_id}
    group = plan.groups[planned.group]
    is_range = planned.partitions > 1
    if is_range:
        tags |= {_FIRST_TAG: planned.first, _LAST_TAG: planned.last}
    request = RunRequest(
        run=RunRef(run_id=run_id_of(it, number=planned.number), attempt=1),
        location=group.location,
        job_name=group.job_name,
        run_config_json=asked.run_config_json,
        asset_selection=group.assets,
        partition_key="" if is_range else planned.first,
        tags=tags,
    )
    return Launch(
        deployment=it.deployment,
        request=request,
        requested_by=it.requested_by or f"backfill {it.backfill_id}",
        is_id_given=False,
    )
