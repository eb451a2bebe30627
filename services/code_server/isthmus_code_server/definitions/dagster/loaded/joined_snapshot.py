"""Joins the snapshots of several repositories into one, where every name stands for one thing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from isthmus.v1.telemetry_pb2 import (
    AssetSnapshot,
    JobSnapshot,
    LocationSnapshot,
    ResourceSnapshot,
    ScheduleSnapshot,
    SensorSnapshot,
)

_Named = TypeVar("_Named", JobSnapshot, ScheduleSnapshot, SensorSnapshot, ResourceSnapshot)


@dataclass(frozen=True, slots=True)
class Origin:
    """Which repository something belongs to, and what it is called there."""

    repository: str
    name: str


class Names:
    """The names of one kind of thing: a name that several repositories use is told apart by its repository."""

    def __init__(self, origins: Sequence[Origin]) -> None:
        uses = Counter(origin.name for origin in origins)
        self._shown = {
            origin: origin.name if uses[origin.name] == 1 else f"{origin.repository}.{origin.name}"
            for origin in origins
        }
        self._origins = {name: origin for origin, name in self._shown.items()}

    def origin(self, name: str) -> Origin | None:
        """Return what a name stands for; None when it stands for nothing."""
        return self._origins.get(name)

    def shown(self, repository: str, name: str) -> str:
        """Return the name by which a repository's thing is known; one that is not there keeps its own."""
        return self._shown.get(Origin(repository, name), name)


@dataclass(frozen=True, slots=True)
class Joined:
    """One snapshot, and what its names stand for."""

    snapshot: LocationSnapshot
    jobs: Names
    schedules: Names
    sensors: Names


def join(snapshots: Mapping[str, LocationSnapshot]) -> Joined:
    """Join snapshots by the names of their repositories; every list of the result is sorted by name."""
    jobs = _names((repository, one.jobs) for repository, one in snapshots.items())
    schedules = _names((repository, one.schedules) for repository, one in snapshots.items())
    sensors = _names((repository, one.sensors) for repository, one in snapshots.items())
    resources = _names((repository, one.resources) for repository, one in snapshots.items())
    whole = LocationSnapshot()
    for repository, snapshot in snapshots.items():
        own = _own_jobs_named(snapshot, jobs=jobs, repository=repository)
        whole.jobs.extend(_renamed(own.jobs, names=jobs, repository=repository))
        whole.schedules.extend(_renamed(own.schedules, names=schedules, repository=repository))
        whole.sensors.extend(_renamed(own.sensors, names=sensors, repository=repository))
        whole.resources.extend(_renamed(own.resources, names=resources, repository=repository))
        whole.assets.extend(own.assets)
    for things in (whole.jobs, whole.schedules, whole.sensors, whole.resources):
        things.sort(key=lambda thing: thing.name)
    assets = _distinct(whole.assets)
    del whole.assets[:]
    whole.assets.extend(assets)
    whole.warnings.extend(dict.fromkeys(warning for one in snapshots.values() for warning in one.warnings))
    return Joined(whole, jobs, schedules, sensors)


def _names(things: Iterable[tuple[str, Iterable[_Named]]]) -> Names:
    return Names([Origin(repository, thing.name) for repository, some in things for thing in some])


def _own_jobs_named(snapshot: LocationSnapshot, *, jobs: Names, repository: str) -> LocationSnapshot:
    """Return a copy in which whatever refers to a job uses the job's name of the joined snapshot."""
    copy = LocationSnapshot()
    copy.CopyFrom(snapshot)

    def shown(names: Iterable[str]) -> list[str]:
        return [jobs.shown(repository, name) for name in names]

    for schedule in copy.schedules:
        (schedule.job_name,) = shown([schedule.job_name])
        (schedule.target.job_name,) = shown([schedule.target.job_name])
    for sensor in copy.sensors:
        sensor.job_names[:] = shown(sensor.job_names)
        sensor.automated_jobs[:] = shown(sensor.automated_jobs)
        for target in sensor.targets:
            (target.job_name,) = shown([target.job_name])
        for monitored in sensor.run_status.monitored:
            if not monitored.location_name:
                (monitored.job_name,) = shown([monitored.job_name])
    for asset in copy.assets:
        asset.jobs[:] = shown(asset.jobs)
        for check in asset.checks:
            check.jobs[:] = shown(check.jobs)
    return copy


def _renamed(things: Iterable[_Named], *, names: Names, repository: str) -> Iterable[_Named]:
    for thing in things:
        thing.name = names.shown(repository, thing.name)
        yield thing


def _distinct(assets: Iterable[AssetSnapshot]) -> list[AssetSnapshot]:
    """Tell an asset that several repositories know once, as the one that can materialize it knows it."""
    found: dict[tuple[str, ...], AssetSnapshot] = {}
    for asset in assets:
        key = tuple(asset.key.path)
        before = found.get(key)
        if before is None or (asset.is_executable and not before.is_executable):
            found[key] = asset
        if before is not None:
            found[key].jobs[:] = sorted({*before.jobs, *asset.jobs})
    return [found[key] for key in sorted(found)]
