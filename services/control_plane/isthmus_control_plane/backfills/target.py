"""What a backfill makes, of which partitions, by which runs. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError

from isthmus.v1.control_plane_pb2 import BackfillGroup, CreateBackfillRequest
from isthmus.v1.telemetry_pb2 import PartitionsSnapshot
from isthmus_store.record.backfill import PlannedRun

from isthmus_control_plane.backfills.grouping import Wanted, grouped
from isthmus_control_plane.backfills.planning import chosen, planned
from isthmus_control_plane.errors import InvalidRequestError, Violation
from isthmus_control_plane.validation.definition import AssetPath, Definitions, Job
from isthmus_control_plane.validation.merged import CatalogAsset
from isthmus_control_plane.validation.refusal import refuse
from isthmus_control_plane.validation.suggestion import unknown

#: Tells the keys of partitions that there are.
KeysOf = Callable[[PartitionsSnapshot], Sequence[str]]

_SELECTION = "asset_selection"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is made, in the order in which it is made, and by which runs."""

    groups: tuple[BackfillGroup, ...]
    runs: tuple[PlannedRun, ...]

    @property
    def blocked(self) -> frozenset[int]:
        """The groups that wait for others."""
        return blocked_of(self.groups)


def blocked_of(groups: Sequence[BackfillGroup]) -> frozenset[int]:
    """Return the groups that wait for others."""
    return frozenset(place for place, group in enumerate(groups) if group.waits)


def of_job(request: CreateBackfillRequest, *, definitions: Definitions, keys_of: KeysOf) -> Plan:
    """Plan the partitions of a job.

    Raises:
        InvalidRequestError: There is no such job, or it has no such partitions.
    """
    job = _job(request, definitions=definitions)
    told = job.partitions_told
    if told is None:
        why = f"job {job.name!r} has no partitions: launch it as it is"
        raise InvalidRequestError([Violation("job_name", why)])
    keys = keys_of(told)
    places, faults = chosen(request, keys=keys)
    refuse(faults)
    group = BackfillGroup(location=request.location, job_name=job.name)
    return Plan((group,), tuple(planned(places, keys=keys, most=_most(told, job.max_partitions_per_run))))


def _job(request: CreateBackfillRequest, *, definitions: Definitions) -> Job:
    job = definitions.jobs.get(request.job_name)
    if job is None:
        visible = [it.name for it in definitions.jobs.values() if not it.is_implicit]
        raise InvalidRequestError([Violation("job_name", unknown("job", name=request.job_name, known=visible))])
    return job


def of_assets(
    request: CreateBackfillRequest,
    *,
    selected: Mapping[AssetPath, CatalogAsset],
    locations: Mapping[str, Definitions],
    keys_of: KeysOf,
) -> Plan:
    """Plan assets, of any locations.

    Named partitions are those that the assets have in common; of all of its own each asset may have others. Assets without
    partitions are made once.

    Raises:
        InvalidRequestError: They cannot be made, or have no such partitions.
    """
    told = {path: it.asset.partitions_told for path, it in selected.items()}
    if not request.is_all:
        _check_common({path: one for path, one in told.items() if one is not None})
    places: dict[AssetPath, tuple[int, ...] | None] = {}
    for path, one in told.items():
        if one is None:
            places[path] = None
            continue
        found, faults = chosen(request, keys=keys_of(one))
        refuse(faults)
        places[path] = tuple(found)
    if all(it is None for it in places.values()):
        raise _refused(f"{_names(places)}: without partitions; launch a run")
    return of_places(selected, places=places, locations=locations, keys_of=keys_of)


def of_places(
    selected: Mapping[AssetPath, CatalogAsset],
    *,
    places: Mapping[AssetPath, tuple[int, ...] | None],
    locations: Mapping[str, Definitions],
    keys_of: KeysOf,
) -> Plan:
    """Plan assets of which it is known which partitions are to be made; None for those that have none.

    Raises:
        InvalidRequestError: They cannot be made.
    """
    wanted = {
        path: Wanted(it.location, _job_of(path, it, locations=locations), it.asset, places[path])
        for path, it in selected.items()
    }
    try:
        parts = grouped(wanted)
    except CycleError as error:
        raise _refused("they need each other in a circle") from error
    runs: list[PlannedRun] = []
    for number, (group, of_group) in enumerate(parts):
        asset = selected[tuple(group.assets[0].path)].asset
        partitions = asset.partitions_told
        if partitions is None or of_group is None:
            runs.append(PlannedRun(number=len(runs) + 1, first="", last="", partitions=1, group=number))
            continue
        most = 1 if _is_in_turn(group, number) else _most(partitions, asset.max_partitions_per_run)
        keys = keys_of(partitions)
        runs += planned(of_group, keys=keys, most=most, group=number, after=len(runs))
    return Plan(tuple(group for group, _ in parts), tuple(runs))


def _job_of(path: AssetPath, it: CatalogAsset, *, locations: Mapping[str, Definitions]) -> str:
    """Name the job that makes an asset which is picked by hand."""
    jobs = locations[it.location].jobs.values() if it.location in locations else ()
    found = next((job.name for job in jobs if job.is_implicit and path in job.assets), None)
    if not it.asset.is_materializable or found is None:
        raise _refused(f"{_names([path])}: nothing materializes it")
    return found


def _is_in_turn(group: BackfillGroup, number: int) -> bool:
    """Tell whether each of its runs needs those before it."""
    return any(it.group == number for it in group.waits)


def _check_common(told: Mapping[AssetPath, PartitionsSnapshot]) -> None:
    first, *others = sorted(told) or [()]
    unequal = [path for path in others if told[path] != told[first]]
    if unequal:
        why = f"other partitions than {_names([first])}: say is_all, or backfill one after the other"
        raise _refused(f"{_names(unequal)}: {why}")


def _most(told: PartitionsSnapshot, wanted: int) -> int:
    # Of several dimensions, which partitions lie side by side is a matter of each dimension.
    return 1 if told.dimensions else wanted


def _refused(why: str) -> InvalidRequestError:
    return InvalidRequestError([Violation(_SELECTION, why)])


def _names(paths: Collection[AssetPath]) -> str:
    return ", ".join(repr("/".join(path)) for path in sorted(paths))
