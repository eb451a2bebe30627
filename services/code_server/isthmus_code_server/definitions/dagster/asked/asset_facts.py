"""What the control plane told at the beginning of an evaluation of automation, and what Dagster asks of it meanwhile."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property

from dagster import AssetCheckKey, AssetKey
from isthmus.v1 import instance_pb2 as pb

from isthmus_code_server.definitions.dagster.asked.rebuild_metadata import key_of
from isthmus_code_server.definitions.dagster.values.metadata import asset_key, check_key


def facts_query(
    *,
    assets: Collection[AssetKey],
    partitioned: Collection[AssetKey],
    checks: Iterable[AssetCheckKey],
    dynamic: Iterable[str],
) -> pb.AssetFactsQuery:
    """Return the question for what an evaluation will ask."""
    query = pb.AssetFactsQuery(
        assets=[asset_key(key) for key in sorted(assets)],
        partitioned=[asset_key(key) for key in sorted(partitioned)],
        dynamic_partitions=sorted(dynamic),
    )
    for key in sorted(checks, key=str):
        told = check_key(key)
        query.checks.add(asset=told.asset, check_name=told.check_name)
    return query


class PartitionsTold:
    """What was told of an asset's partitions."""

    def __init__(self, columns: pb.PartitionColumns) -> None:
        self._keys = list(columns.keys)
        self._ids = {
            "asset_materialized": list(columns.materialized_ids),
            "asset_observed": list(columns.observed_ids),
        }
        #: The run and the event of what was planned and not made since.
        self.plans: Mapping[str, tuple[str, int]] = {it.partition: (it.plan.run_id, it.plan.id) for it in columns.plans}

    def newest(self, kind: str, *, after: int = 0) -> dict[str, int] | None:
        """Return the id of the newest event of a kind about each partition; None where that was not told."""
        ids = self._ids.get(kind)
        if ids is None:
            return None
        return {key: number for key, number in zip(self._keys, ids, strict=True) if number > max(after, 0)}


class AssetFacts:
    """The facts of one evaluation. What was not asked about is not known, and has to be asked for by itself."""

    def __init__(self, told: pb.AssetFacts, *, query: pb.AssetFactsQuery) -> None:
        self._told = told
        self._asked = {key_of(path) for path in query.assets}
        self._partitioned = {key_of(path) for path in query.partitioned}
        self._asked_checks = {AssetCheckKey(key_of(it.asset), it.check_name) for it in query.checks}
        self._by_asset = {key_of(fact.asset): fact for fact in told.assets}
        self._partitions: dict[AssetKey, PartitionsTold] = {}
        #: The keys of dynamic partitions, by the name of these.
        self.dynamic: Mapping[str, Sequence[str]] = {it.name: list(it.keys) for it in told.dynamic_partitions}

    @property
    def newest_id(self) -> int:
        """Every event that is stored later has a larger id."""
        return self._told.newest_id

    def knows(self, key: AssetKey) -> bool:
        """Tell whether it was asked about an asset."""
        return key in self._asked

    def asset(self, key: AssetKey) -> pb.AssetFact | None:
        """Return what was told of an asset that was asked about; None for nothing at all."""
        return self._by_asset.get(key)

    def partitions(self, key: AssetKey) -> PartitionsTold | None:
        """Return what was told of an asset's partitions; None where that is not known."""
        fact = self._by_asset.get(key)
        if key not in self._partitioned or fact is None or not fact.HasField("partitions"):
            return None
        if key not in self._partitions:
            self._partitions[key] = PartitionsTold(fact.partitions)
        return self._partitions[key]

    def freshness(self, keys: Iterable[AssetKey]) -> list[pb.FreshnessFact]:
        """Return what was told of the freshness of assets."""
        return [self._freshness[key] for key in keys if key in self._freshness]

    @cached_property
    def _freshness(self) -> dict[AssetKey, pb.FreshnessFact]:
        return {key_of(it.asset): it for it in self._told.freshness}

    def knows_checks(self, keys: Iterable[AssetCheckKey]) -> bool:
        """Tell whether it was asked about all of these checks."""
        return all(key in self._asked_checks for key in keys)

    def executions(self, keys: Iterable[AssetCheckKey]) -> dict[AssetCheckKey, list[pb.CheckExecution]]:
        """Return what was told of the executions of checks, newest first."""
        wanted = set(keys)
        return {key: found for key, found in self._executions.items() if key in wanted}

    @cached_property
    def _executions(self) -> dict[AssetCheckKey, list[pb.CheckExecution]]:
        found: dict[AssetCheckKey, list[pb.CheckExecution]] = {}
        for it in self._told.checks:
            found.setdefault(AssetCheckKey(key_of(it.check.asset), it.check.check_name), []).append(it)
        return found

    @cached_property
    def runs(self) -> Mapping[str, pb.FoundRun]:
        """Runs that were told of, by their ids."""
        return {it.run.request.run.run_id: it for it in self._told.runs}
