"""What a location defines, as far as the stored snapshot tells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from isthmus.v1 import telemetry_pb2
from isthmus_store.asset_freshness import FRESHNESS_CHANGED

from isthmus_control_plane.validation.policy import Freshness
from isthmus_control_plane.validation.step_graph import StepGraph

AssetPath = tuple[str, ...]

#: The kind of sensors that evaluate automation conditions.
AUTOMATION: Final = "automation"


#: Between the parts of a key of several dimensions, which stand in the order of the dimensions' names.
KEY_SEPARATOR: Final = "|"


@dataclass(frozen=True, slots=True)
class Partitions:
    """How something is partitioned. Only static keys are known on this side; all others are the code server's to judge."""

    kind: str
    keys: frozenset[str]
    #: Of dynamic partitions: what their keys are kept under.
    dynamic_name: str = ""
    #: Of several dimensions: each, in the order of its part of a key.
    dimensions: "tuple[Partitions, ...]" = ()

    def dynamic_keys(self, key: str) -> dict[str, str]:
        """Return the keys of dynamic partitions that a key is, or has as parts, by the names under which such keys are kept."""
        parts = key.split(KEY_SEPARATOR) if self.dimensions else [key]
        of_each = zip(parts, self.dimensions or (self,), strict=False)
        return {it.dynamic_name: part for part, it in of_each if it.kind == "dynamic" and it.dynamic_name}


@dataclass(frozen=True, slots=True)
class Job:
    """A job as a launch needs to know it."""

    name: str
    assets: frozenset[AssetPath]
    partitions: Partitions | None
    is_implicit: bool
    tags: Mapping[str, str] = field(default_factory=dict)
    #: Those of all its steps.
    pools: frozenset[str] = frozenset()
    #: The namespace that it belongs to in the framework.
    repository: str = ""
    #: Its partitions as the location told them, in their order.
    partitions_told: telemetry_pb2.PartitionsSnapshot | None = None
    #: How many partitions a run of a backfill takes; 0 for all that lie side by side.
    max_partitions_per_run: int = 1
    #: Of a job with pools.
    graph: StepGraph | None = None


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset as a launch, and whoever looks at it, needs to know it."""

    partitions: Partitions | None
    checks: frozenset[str]
    is_executable: bool
    is_observable: bool = False
    parents: frozenset[AssetPath] = frozenset()
    group: str = ""
    kinds: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    tags: Mapping[str, str] = field(default_factory=dict)
    pools: frozenset[str] = frozenset()
    op_name: str = ""
    #: Known to the location by name alone: something there depends on it, or checks it.
    is_stub: bool = False
    freshness: Freshness | None = None
    #: As the location told them.
    partitions_told: telemetry_pb2.PartitionsSnapshot | None = None
    blocking_checks: frozenset[str] = frozenset()
    #: As a job's.
    max_partitions_per_run: int = 1
    #: Those of which a partition needs others than the one of the same key, itself included.
    shifted_parents: frozenset[AssetPath] = frozenset()
    code_version: str = ""
    #: Which partitions of a parent its own need, where either has any, as the location told them.
    mappings: Mapping[AssetPath, telemetry_pb2.PartitionMappingSnapshot] = field(default_factory=dict)

    @property
    def is_materializable(self) -> bool:
        """Whether a run can make it."""
        return self.is_executable and not self.is_observable


@dataclass(frozen=True, slots=True)
class Target:
    """What runs of a schedule or a sensor execute unless they say otherwise."""

    job_name: str
    op_selection: tuple[str, ...] = ()
    assets: tuple[AssetPath, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as its ticks need to know it."""

    name: str
    crons: tuple[str, ...]
    timezone: str
    target: Target
    is_running_by_default: bool
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watch:
    """The events that a sensor looks at: of a kind, about these assets, or about runs."""

    #: Names of Event's bodies.
    kind: str
    #: Empty for events about runs.
    assets: frozenset[AssetPath] = frozenset()
    #: Without such an event it has nothing to say, and need not be asked.
    is_all: bool = False
    #: What else tells of the assets.
    more_kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor as its ticks need to know it."""

    name: str
    kind: str
    #: Seconds.
    interval_s: float
    targets: tuple[Target, ...]
    is_running_by_default: bool
    #: What may wake it before its interval is over.
    watch: Watch | None = None
    #: Of one of automation: the assets that it decides about.
    automated: frozenset[AssetPath] = frozenset()
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Definitions:
    """An index over one location snapshot."""

    jobs: dict[str, Job]
    assets: dict[AssetPath, Asset]
    schedules: dict[str, Schedule] = field(default_factory=dict)
    sensors: dict[str, Sensor] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: telemetry_pb2.LocationSnapshot) -> "Definitions":
        """Index a snapshot; takes time in proportion to its size."""
        assets = {
            tuple(asset.key.path): Asset(
                partitions=_partitions(asset.partitions),
                checks=frozenset(check.name for check in asset.checks),
                is_executable=asset.is_executable,
                is_observable=asset.is_observable,
                parents=frozenset(tuple(key.path) for key in asset.deps),
                group=asset.group,
                kinds=frozenset(asset.kinds),
                owners=frozenset(asset.owners),
                tags=dict(asset.tags),
                pools=frozenset(asset.pools),
                op_name=asset.op_name,
                is_stub=asset.is_stub,
                freshness=Freshness.of(asset.freshness),
                partitions_told=asset.partitions if asset.partitions.kind else None,
                blocking_checks=frozenset(check.name for check in asset.checks if check.is_blocking),
                shifted_parents=frozenset(tuple(it.asset.path) for it in asset.dependencies if _is_shifted(it)),
                max_partitions_per_run=(
                    asset.backfill_policy.max_partitions_per_run if asset.HasField("backfill_policy") else 1
                ),
                code_version=asset.code_version,
                mappings={tuple(it.asset.path): it.mapping for it in asset.dependencies if it.mapping.kind},
            )
            for asset in snapshot.assets
        }
        jobs = {
            job.name: Job(
                name=job.name,
                assets=frozenset(tuple(asset.path) for asset in job.assets),
                partitions=_partitions(job.partitions),
                is_implicit=job.is_implicit_asset_job,
                tags=dict(job.tags),
                pools=frozenset(job.pools),
                repository=job.repository_name,
                graph=StepGraph.of(job),
                partitions_told=job.partitions if job.partitions.kind else None,
                max_partitions_per_run=_smallest_runs(job, assets=assets),
            )
            for job in snapshot.jobs
        }
        return cls(
            jobs=jobs,
            assets=assets,
            schedules={it.name: _schedule(it) for it in snapshot.schedules},
            sensors={it.name: _sensor(it, assets=assets) for it in snapshot.sensors},
        )

    @property
    def has_pools(self) -> bool:
        """Whether any step is in a pool."""
        return any(job.pools for job in self.jobs.values())


def _partitions(snapshot: telemetry_pb2.PartitionsSnapshot) -> Partitions | None:
    if not snapshot.kind:
        return None
    dimensions = (_partitions(snapshot.dimensions[name]) for name in sorted(snapshot.dimensions))
    return Partitions(
        kind=snapshot.kind,
        keys=frozenset(snapshot.keys),
        dynamic_name=snapshot.dynamic_name,
        dimensions=tuple(dimension for dimension in dimensions if dimension is not None),
    )


def _is_shifted(dependency: telemetry_pb2.AssetDependency) -> bool:
    mapping = dependency.mapping
    if mapping.is_default:
        # Of the same partitions it is the same one; of an asset that another location owns the mapping tells nothing.
        return False
    is_same_window = mapping.kind == "time_window" and not mapping.start_offset and not mapping.end_offset
    return bool(mapping.kind) and mapping.kind != "identity" and not is_same_window


def _smallest_runs(job: telemetry_pb2.JobSnapshot, *, assets: Mapping[AssetPath, Asset]) -> int:
    """Return how many partitions a run of a job's backfill takes: as few as the assets of it that are made want."""
    known = (assets.get(tuple(key.path)) for key in job.assets)
    wanted = [it.max_partitions_per_run for it in known if it is not None and it.is_executable and it.partitions]
    return min(wanted, key=lambda most: most or float("inf"), default=1)


def _target(target: telemetry_pb2.TargetSnapshot, *, job_name: str = "") -> Target:
    return Target(
        job_name=target.job_name or job_name,
        op_selection=tuple(target.op_selection),
        assets=tuple(tuple(key.path) for key in target.asset_selection),
    )


def _sensor(snapshot: telemetry_pb2.SensorSnapshot, *, assets: Mapping[AssetPath, Asset]) -> Sensor:
    return Sensor(
        name=snapshot.name,
        kind=snapshot.kind,
        interval_s=snapshot.minimum_interval_s,
        # A code server of an older release tells the names of the jobs alone.
        targets=tuple(_target(it) for it in snapshot.targets) or tuple(Target(name) for name in snapshot.job_names),
        is_running_by_default=snapshot.is_running_by_default,
        watch=_watch(snapshot, assets=assets),
        automated=frozenset(tuple(key.path) for key in snapshot.automated_assets),
        description=snapshot.description,
        tags=dict(snapshot.tags),
    )


def _watch(snapshot: telemetry_pb2.SensorSnapshot, *, assets: Mapping[AssetPath, Asset]) -> Watch | None:
    if snapshot.kind == AUTOMATION:
        return _watch_of_automation(snapshot, assets=assets)
    if snapshot.kind == "run_status" and snapshot.run_status.event_kind:
        return Watch(snapshot.run_status.event_kind, is_all=True)
    monitored = frozenset(tuple(key.path) for key in snapshot.monitored_assets)
    # The function of a multi-asset sensor is called whether there is news or not, and may look at anything.
    return Watch("asset_materialized", monitored, is_all=snapshot.kind == "asset") if monitored else None


def _watch_of_automation(snapshot: telemetry_pb2.SensorSnapshot, *, assets: Mapping[AssetPath, Asset]) -> Watch | None:
    """Return what conditions of assets usually look at: the assets themselves, and those right above."""
    decided = {tuple(key.path) for key in snapshot.automated_assets}
    decided |= {tuple(it.asset.path) for it in snapshot.automated_checks}
    above = {parent for path in decided if path in assets for parent in assets[path].parents}
    if not decided:
        return None
    return Watch(
        "asset_materialized",
        frozenset(decided | above),
        more_kinds=("asset_observed", "asset_check_evaluated", FRESHNESS_CHANGED),
    )


def _schedule(snapshot: telemetry_pb2.ScheduleSnapshot) -> Schedule:
    return Schedule(
        name=snapshot.name,
        crons=tuple(snapshot.cron_schedules),
        timezone=snapshot.timezone,
        target=_target(snapshot.target, job_name=snapshot.job_name),
        is_running_by_default=snapshot.is_running_by_default,
        description=snapshot.description,
        tags=dict(snapshot.tags),
    )
