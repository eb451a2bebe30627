"""Answers what an evaluation of automation asks from a Dagster instance, so that Dagster itself decides on the same facts."""

from collections.abc import Iterable, Iterator
from typing import Any

from dagster import AssetKey, DagsterEventType, DagsterInstance, RunsFilter
from dagster._core.storage.dagster_run import DagsterRunStatus
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import instance_pb2 as pb
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import AssetKey as Path
from isthmus.v1.telemetry_pb2 import RunRef
from isthmus_code_server.definitions.dagster.values.translation import translate

_STATES = {
    DagsterRunStatus.QUEUED: api.RUN_STATE_QUEUED,
    DagsterRunStatus.STARTED: api.RUN_STATE_RUNNING,
    DagsterRunStatus.SUCCESS: api.RUN_STATE_SUCCEEDED,
    DagsterRunStatus.FAILURE: api.RUN_STATE_FAILED,
    DagsterRunStatus.CANCELED: api.RUN_STATE_CANCELED,
}
_STATUSES = pb.CheckExecutionsQuery


class InstanceWorld:
    """Tells what a Dagster instance knows."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.instance = instance
        self.asked: list[pb.InstanceQuery] = []

    @property
    def kinds(self) -> list[str]:
        return [query.WhichOneof("body") or "" for query in self.asked]

    def answer(self, query: pb.InstanceQuery) -> pb.InstanceAnswer:
        match query.WhichOneof("body"):
            case "asset_facts":
                return pb.InstanceAnswer(asset_facts=self._facts(query.asset_facts))
            case "runs":
                return pb.InstanceAnswer(runs=pb.FoundRuns(runs=self._runs(query.runs.run_ids)))
            case "events":
                return pb.InstanceAnswer(events=self._events(query.events))
        raise AssertionError(f"asked for {query}")

    def _facts(self, query: pb.AssetFactsQuery) -> pb.AssetFacts:
        told = pb.AssetFacts(newest_id=self.instance.event_log_storage.get_maximum_record_id() or 0)
        partitioned = {tuple(path.path) for path in query.partitioned}
        told.assets.extend(self._asset(path, is_partitioned=tuple(path.path) in partitioned) for path in query.assets)
        for check in query.checks:
            told.checks.extend(self._executions(check))
        plans = [fact.plan.run_id for fact in told.assets if fact.HasField("plan")]
        plans += [it.plan.run_id for fact in told.assets for it in fact.partitions.plans]
        told.runs.extend(self._runs(plans + [it.event.event.run.run_id for it in told.checks]))
        for name in query.dynamic_partitions:
            told.dynamic_partitions.add(name=name, keys=self.instance.get_dynamic_partitions(name))
        told.freshness.extend(self._freshness(query.assets))
        return told

    def _freshness(self, paths: Iterable[Path]) -> Iterator[pb.FreshnessFact]:
        """Tell how fresh assets are, which Dagster knows in its newer versions."""
        know: Any = getattr(self.instance, "get_freshness_state_records", lambda _: {})
        for key, record in know([AssetKey(list(path.path)) for path in paths]).items():
            name = {"PASS": "PASSING", "WARN": "WARNING", "FAIL": "FAILING"}.get(
                record.freshness_state.value, "UNKNOWN"
            )
            yield pb.FreshnessFact(
                asset=Path(path=list(key.path)), state=api.AssetFreshness.Value(f"ASSET_FRESHNESS_{name}")
            )

    def _asset(self, path: Path, *, is_partitioned: bool) -> pb.AssetFact:
        key, fact = AssetKey(list(path.path)), pb.AssetFact(asset=path)
        for name, kind in (
            ("materialized", DagsterEventType.ASSET_MATERIALIZATION),
            ("observed", DagsterEventType.ASSET_OBSERVATION),
        ):
            if (stored := self._newest(key, kind)) is not None:
                getattr(fact, name).CopyFrom(stored)
        planned = self.instance.event_log_storage.get_latest_planned_materialization_info(key)
        if planned is not None:
            fact.plan.id, fact.plan.run_id = planned.storage_id, planned.run_id
        if is_partitioned:
            self._tell_partitions(fact.partitions, key)
        return fact

    def _tell_partitions(self, columns: pb.PartitionColumns, key: AssetKey) -> None:
        columns.SetInParent()
        storage = self.instance.event_log_storage
        made = storage.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION)
        seen = storage.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_OBSERVATION)
        plans = storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
        for partition in sorted({*made, *seen}):
            columns.keys.append(partition)
            columns.materialized_ids.append(made.get(partition, 0))
            columns.observed_ids.append(seen.get(partition, 0))
        for partition, (run_id, number) in plans.items():
            columns.plans.add(partition=partition, plan=pb.PlanFact(id=number, run_id=run_id))

    def _newest(self, key: AssetKey, kind: DagsterEventType) -> pb.StoredEvent | None:
        found = list(self._records(key, kind, limit=1, ascending=False))
        return _stored(found[0]) if found else None

    def _records(self, key: AssetKey, kind: DagsterEventType, **page: Any) -> Iterable[Any]:
        of_kind = {
            DagsterEventType.ASSET_MATERIALIZATION: self.instance.fetch_materializations,
            DagsterEventType.ASSET_OBSERVATION: self.instance.fetch_observations,
        }
        fetch: Any = of_kind[kind]
        found: Iterable[Any] = fetch(key, **page).records
        return found

    def _events(self, query: pb.EventsQuery) -> pb.StoredEvents:
        key = AssetKey(list(query.asset.path))
        (kind,) = query.kinds
        of_kind = {
            "asset_materialized": DagsterEventType.ASSET_MATERIALIZATION,
            "asset_observed": DagsterEventType.ASSET_OBSERVATION,
        }
        found = [
            _stored(record)
            for record in self._records(key, of_kind[kind], limit=1000, ascending=query.is_ascending)
            if record.storage_id > query.after_id and (not query.before_id or record.storage_id < query.before_id)
        ]
        return pb.StoredEvents(events=found[: query.limit or None])

    def _executions(self, check: Any) -> list[pb.CheckExecution]:
        from dagster import AssetCheckKey

        key = AssetCheckKey(AssetKey(list(check.asset.path)), check.check_name)
        found = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        return [
            pb.CheckExecution(
                check=check,
                id=it.id,
                status=_STATUSES.Status.Value(f"STATUS_{it.status.value}"),
                event=pb.StoredEvent(id=it.id, event=translate(it.event)),
            )
            for it in found
            if it.event is not None
        ]

    def _runs(self, run_ids: Iterable[str]) -> list[pb.FoundRun]:
        ids = [run_id for run_id in dict.fromkeys(run_ids) if run_id]
        if not ids:
            return []
        return [_run(record) for record in self.instance.get_run_records(RunsFilter(run_ids=ids))]


def _stored(record: Any) -> pb.StoredEvent:
    event = translate(record.event_log_entry)
    event.run.run_id = record.run_id
    return pb.StoredEvent(id=record.storage_id, event=event)


def _run(record: Any) -> pb.FoundRun:
    run = record.dagster_run
    request = RunRequest(
        run=RunRef(run_id=run.run_id, attempt=1),
        job_name=run.job_name,
        asset_selection=[Path(path=list(key.path)) for key in run.asset_selection or ()],
        location="here",
    )
    found = pb.FoundRun(run=api.Run(request=request, state=_STATES[run.status]), tags=run.tags)
    found.run.queued_at.FromDatetime(record.create_timestamp)
    found.updated_at.FromDatetime(record.update_timestamp)
    return found
