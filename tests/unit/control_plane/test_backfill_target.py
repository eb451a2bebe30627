"""What a backfill makes together, what waits for what, and by which runs."""

from collections.abc import Mapping, Sequence

import pytest
from isthmus.v1.control_plane_pb2 import BackfillGroup, BackfillWait, CreateBackfillRequest
from isthmus.v1.telemetry_pb2 import (
    AssetDependency,
    AssetKey,
    AssetSnapshot,
    BackfillPolicySnapshot,
    JobSnapshot,
    LocationSnapshot,
    PartitionMappingSnapshot,
    PartitionRange,
    PartitionsSnapshot,
)
from isthmus_control_plane.backfills.target import Plan, of_assets, of_job
from isthmus_control_plane.errors import InvalidRequestError
from isthmus_control_plane.validation.definition import Definitions
from isthmus_control_plane.validation.merged import merge

DAYS = PartitionsSnapshot(kind="static", keys=["mon", "tue", "wed"])
WEEKS = PartitionsSnapshot(kind="static", keys=["w1"])
SAME, ALL, EARLIER = BackfillWait.FOR_SAME_PARTITIONS, BackfillWait.FOR_ALL, BackfillWait.FOR_EARLIER

Waits = dict[int, BackfillWait.For.ValueType]


def keys_of(told: PartitionsSnapshot) -> Sequence[str]:
    return list(told.keys) or ["x|y"]


def key(name: str) -> AssetKey:
    return AssetKey(path=[name])


def asset(
    name: str, *parents: str, partitions: PartitionsSnapshot | None = DAYS, policy: int | None = None
) -> AssetSnapshot:
    """A parent is written as "name", or as "name:mapping", where the mapping is the kind of one that is not the same."""
    told = AssetSnapshot(key=key(name), is_executable=True, is_materializable=True, partitions=partitions)
    for parent in parents:
        of, _, kind = parent.partition(":")
        mapping = PartitionMappingSnapshot(kind=kind or "identity", start_offset=-1 if kind == "time_window" else 0)
        # What a location tells of a mapping to an asset of which it knows the name alone.
        mapping.is_default = kind == "unknown"
        told.deps.append(key(of))
        told.dependencies.append(AssetDependency(asset=key(of), mapping=mapping))
    if policy is not None:
        told.backfill_policy.CopyFrom(BackfillPolicySnapshot(max_partitions_per_run=policy))
    return told


def location(*assets: AssetSnapshot, partitions: PartitionsSnapshot | None = DAYS) -> Definitions:
    keys = [it.key for it in assets]
    jobs = [
        JobSnapshot(name="job", partitions=partitions, assets=keys),
        JobSnapshot(name="__ASSET_JOB", is_implicit_asset_job=True, assets=keys),
        JobSnapshot(name="plain"),
    ]
    return Definitions.of(LocationSnapshot(jobs=jobs, assets=assets))


def plan(locations: Mapping[str, Definitions], *keys: str) -> Plan:
    request = CreateBackfillRequest(partition_keys=keys, is_all=not keys)
    selected = {path: it for path, it in merge(locations).items() if it.asset.is_materializable}
    return of_assets(request, selected=selected, locations=locations, keys_of=keys_of)


def told(found: Plan) -> list[tuple[str, Waits]]:
    """Each group's assets, and what it waits for."""
    return [(_names(group), {it.group: it.what for it in group.waits}) for group in found.groups]


def _names(group: BackfillGroup) -> str:
    return "+".join(it.path[0] for it in group.assets)


@pytest.mark.parametrize(
    ("assets", "groups"),
    [
        # Of each other they need the same partition.
        ((asset("a"), asset("b", "a"), asset("c", "b")), [("a+b+c", {})]),
        # What begins is made together, too.
        ((asset("a"), asset("b")), [("a+b", {})]),
        ((asset("a"), asset("b", "a:all")), [("a", {}), ("b", {0: ALL})]),
        ((asset("a"), asset("b", "a", policy=2)), [("a", {}), ("b", {0: SAME})]),
        ((asset("a"), asset("b", "a:time_window", partitions=WEEKS)), [("a", {}), ("b", {0: ALL})]),
        ((asset("a"), asset("b", "a:time_window")), [("a", {}), ("b", {0: ALL})]),
        ((asset("a"), asset("b", "a:last", partitions=None)), [("a", {}), ("b", {0: ALL})]),
        ((asset("a", partitions=None), asset("b", "a", partitions=None), asset("c")), [("a+b", {}), ("c", {})]),
        ((asset("a", "a:time_window"), asset("b", "a")), [("a", {0: EARLIER}), ("b", {0: SAME})]),
        # The last one needs what is between: it cannot go with the first.
        (
            (asset("a"), asset("b", "a:all", partitions=WEEKS), asset("c", "a", "b:all")),
            [("a", {}), ("b", {0: ALL}), ("c", {0: SAME, 1: ALL})],
        ),
        # It needs something beside, for which the first one is not to wait.
        (
            (asset("a"), asset("b", partitions=WEEKS), asset("c", "a", "b:all")),
            [("a", {}), ("b", {}), ("c", {0: SAME, 1: ALL})],
        ),
    ],
)
def test_what_is_made_together_and_what_waits(
    assets: tuple[AssetSnapshot, ...], groups: list[tuple[str, Waits]]
) -> None:
    assert told(plan({"etl": location(*assets)})) == groups


def test_assets_of_several_locations_are_made_where_they_are_owned() -> None:
    stub = AssetSnapshot(key=key("raw"), is_stub=True)
    found = plan({"etl": location(asset("raw")), "ml": location(stub, asset("model", "raw:unknown"))}, "tue")
    assert told(found) == [("raw", {}), ("model", {0: SAME})]
    assert [(it.location, it.job_name) for it in found.groups] == [("etl", "__ASSET_JOB"), ("ml", "__ASSET_JOB")]
    runs = [(it.number, it.group, it.first, it.begin, it.partitions) for it in found.runs]
    assert runs == [(1, 0, "tue", 1, 1), (2, 1, "tue", 1, 1)]
    assert found.blocked == {1}


def test_each_asset_has_all_of_its_own_partitions_and_one_without_is_made_once() -> None:
    assets = (asset("a", policy=0), asset("b", "a:all", partitions=WEEKS), asset("c", "b:all", partitions=None))
    found = plan({"etl": location(*assets)})
    assert [(it.group, it.first, it.last, it.partitions) for it in found.runs] == [
        (0, "mon", "wed", 3),
        (1, "w1", "w1", 1),
        (2, "", "", 1),
    ]


def test_what_needs_its_own_earlier_partitions_takes_one_a_run() -> None:
    found = plan({"etl": location(asset("a", "a:time_window", policy=0))})
    assert [it.first for it in found.runs] == ["mon", "tue", "wed"]


@pytest.mark.parametrize(
    ("assets", "keys", "field", "part"),
    [
        ((asset("a"), asset("b", partitions=WEEKS)), ("mon",), "asset_selection", "'b': other partitions than 'a'"),
        ((asset("a", partitions=None),), (), "asset_selection", "'a': without partitions; launch a run"),
        ((asset("a"),), ("sun",), "partition_keys[0]", "unknown partition 'sun'"),
        ((asset("a", "b"), asset("b", "a")), (), "asset_selection", "in a circle"),
    ],
)
def test_what_cannot_be_made_is_named(
    assets: tuple[AssetSnapshot, ...], keys: tuple[str, ...], field: str, part: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        plan({"etl": location(*assets)}, *keys)
    (fault,) = refused.value.violations
    assert fault.field == field
    assert part in fault.description


def test_an_asset_that_no_job_makes_is_named() -> None:
    snapshot = LocationSnapshot(assets=[asset("a")])
    with pytest.raises(InvalidRequestError, match="nothing materializes it"):
        plan({"etl": Definitions.of(snapshot)})


# ------------------------------------------------------------------------------------------------------------ of jobs


@pytest.mark.parametrize(
    ("policies", "ends"),
    [
        ((None,), ["mon", "tue", "wed"]),
        ((0,), ["wed"]),
        ((0, 7, 2), ["tue", "wed"]),
        ((None, 0), ["mon", "tue", "wed"]),
    ],
)
def test_of_a_jobs_assets_those_that_want_the_smallest_runs_count(
    policies: tuple[int | None, ...], ends: list[str]
) -> None:
    known = location(*(asset(f"{index}", policy=policy) for index, policy in enumerate(policies)))
    request = CreateBackfillRequest(location="etl", job_name="job", is_all=True)
    found = of_job(request, definitions=known, keys_of=keys_of)
    assert [it.last for it in found.runs] == ends
    assert list(found.groups) == [BackfillGroup(location="etl", job_name="job")]


def test_of_several_dimensions_a_run_takes_one_partition() -> None:
    both = PartitionsSnapshot(kind="multi", dimensions={"x": DAYS, "y": WEEKS})
    known = location(asset("grid", partitions=both, policy=0), partitions=both)
    request = CreateBackfillRequest(job_name="job", is_all=True)
    assert len(of_job(request, definitions=known, keys_of=lambda _: ["a|w", "b|w"]).runs) == 2


@pytest.mark.parametrize(
    ("request_", "field", "part"),
    [
        (CreateBackfillRequest(job_name="jb", is_all=True), "job_name", "did you mean 'job'?"),
        (CreateBackfillRequest(job_name="plain", is_all=True), "job_name", "has no partitions"),
        (
            CreateBackfillRequest(job_name="job", ranges=[PartitionRange(first="tue", last="mon")]),
            "ranges[0]",
            "the other way round",
        ),
    ],
)
def test_what_a_job_has_not_is_refused_by_its_field(request_: CreateBackfillRequest, field: str, part: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        of_job(request_, definitions=location(asset("a")), keys_of=keys_of)
    (fault,) = refused.value.violations
    assert fault.field == field
    assert part in fault.description
