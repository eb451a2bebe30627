"""Dagster's runs and filters of runs, from the control plane's and to them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from dagster import AssetCheckKey
from dagster._core.storage.dagster_run import DagsterRun, DagsterRunStatus, RunRecord, RunsFilter
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import instance_pb2 as pb

from isthmus_code_server.definitions.dagster.asked.rebuild_metadata import key_of
from isthmus_code_server.definitions.dagster.asked.run_origin import RunOrigins
from isthmus_code_server.errors import UnsupportedInstanceCallError

_Status = DagsterRunStatus
_STATUSES: Mapping["api.RunState.ValueType", DagsterRunStatus] = {
    api.RUN_STATE_QUEUED: _Status.QUEUED,
    api.RUN_STATE_DISPATCHED: _Status.STARTING,
    api.RUN_STATE_STARTING: _Status.STARTING,
    api.RUN_STATE_RUNNING: _Status.STARTED,
    api.RUN_STATE_CANCELING: _Status.CANCELING,
    api.RUN_STATE_SUCCEEDED: _Status.SUCCESS,
    api.RUN_STATE_FAILED: _Status.FAILURE,
    api.RUN_STATE_CANCELED: _Status.CANCELED,
}
_ROOT_TAG, _PARENT_TAG = "dagster/root_run_id", "dagster/parent_run_id"


def record_of(found: pb.FoundRun, *, own: DagsterRun | None, origins: RunOrigins) -> RunRecord:
    """Rebuild a run's record; of the process's own run, what is known here counts, and the tags of the store."""
    run = found.run
    is_own = own is not None and own.run_id == run.request.run.run_id
    return RunRecord(
        # Runs have no number of their own: the time of their creation is in the same order.
        storage_id=run.queued_at.ToMicroseconds(),
        dagster_run=own.with_tags({**own.tags, **found.tags})
        if is_own and own is not None
        else _run_of(found, origins),
        create_timestamp=_moment(run.queued_at),
        update_timestamp=_moment(found.updated_at),
        start_time=_seconds(run.started_at) if run.HasField("started_at") else None,
        end_time=_seconds(run.ended_at) if run.HasField("ended_at") else None,
    )


def record_here(run: DagsterRun, *, began_at: datetime) -> RunRecord:
    """Return the record of the run that this process executes, from what is known here."""
    return RunRecord(
        storage_id=round(began_at.timestamp() * 1e6),
        dagster_run=run,
        create_timestamp=began_at,
        update_timestamp=began_at,
        start_time=began_at.timestamp(),
    )


def _run_of(found: pb.FoundRun, origins: RunOrigins) -> DagsterRun:
    request, tags = found.run.request, dict(found.tags)
    job_name, origin = origins.of(request.job_name, location=request.location, repository=found.repository_name)
    checks = {AssetCheckKey(key_of(it.asset), it.check_name) for it in request.check_selection}
    if request.partition_key:
        tags.setdefault("dagster/partition", request.partition_key)
    return DagsterRun(
        job_name=job_name,
        remote_job_origin=origin,
        run_id=request.run.run_id,
        run_config=json.loads(request.run_config_json) if request.run_config_json else {},
        asset_selection={key_of(it) for it in request.asset_selection} or None,
        asset_check_selection=checks or None,
        op_selection=list(request.op_selection) or None,
        status=_STATUSES.get(found.run.state, _Status.NOT_STARTED),
        tags=tags,
        root_run_id=tags.get(_ROOT_TAG),
        parent_run_id=tags.get(_PARENT_TAG),
    )


def runs_query(filters: RunsFilter | None) -> pb.RunsQuery:
    """Return the question that a filter asks.

    Raises:
        UnsupportedInstanceCallError: It asks for what is not kept.
    """
    if filters is None:
        return pb.RunsQuery()
    if filters.snapshot_id or filters.exclude_subruns:
        raise UnsupportedInstanceCallError("RunsFilter.snapshot_id and RunsFilter.exclude_subruns")
    query = pb.RunsQuery(
        run_ids=filters.run_ids or (),
        job_name=filters.job_name or "",
        created_after=_stamp(filters.created_after),
        created_before=_stamp(filters.created_before),
        updated_after=_stamp(filters.updated_after),
        updated_before=_stamp(filters.updated_before),
    )
    wanted = set(filters.statuses)
    query.states.extend(state for state, status in _STATUSES.items() if status in wanted)
    if wanted and not query.states:
        # Runs of such a status do not exist here.
        query.run_ids[:] = [""]
    for key, value in filters.tags.items():
        query.tags.add(key=key, values=[value] if isinstance(value, str) else list(value))
    return query


def _stamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)


def _seconds(stamp: Timestamp) -> float:
    return stamp.ToMicroseconds() / 1e6
