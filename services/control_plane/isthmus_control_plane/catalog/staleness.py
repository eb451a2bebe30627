"""Whether what was made is older than its code or its inputs, and why. Pure.

The rules are those of Dagster: an asset is stale when its code version is another than the one that it was made with, or the version
of an input is another than the one that it was made of, or it depends on something else than then. A parent that is stale itself makes
nothing stale: what it is yet to become will.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from isthmus_control_plane.catalog.needed import Place, needed
from isthmus_control_plane.validation.definition import AssetPath
from isthmus_control_plane.validation.merged import CatalogAsset

_DATA_VERSION: Final = ("dagster/data_version", "dagster/logical_version")
_CODE_VERSION: Final = "dagster/code_version"
_INPUT_VERSION: Final = ("dagster/input_data_version/", "dagster/input_logical_version/")
_INPUT_POINTER: Final = "dagster/input_event_pointer/"
_IS_GIVEN: Final = "dagster/data_version_is_user_provided"
#: Versions that the framework gives to what nobody gave one: data that nobody can make is taken to be there.
_INITIAL: Final = "INITIAL"
_NOTHING: Final = "NULL"


class StaleStatus(StrEnum):
    """Whether something is as its code and its inputs are now."""

    FRESH = "FRESH"
    STALE = "STALE"
    #: It was never made.
    MISSING = "MISSING"
    #: Only its code server can tell, or it has partitions, and none was named.
    UNKNOWN = "UNKNOWN"


class CauseKind(StrEnum):
    """What changed."""

    CODE = "CODE"
    DATA = "DATA"
    DEPENDENCIES = "DEPENDENCIES"


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that changed since it was made."""

    kind: CauseKind
    text: str
    #: What it depends on, or did, and which partition of that.
    dependency: AssetPath = ()
    partition: str = ""


@dataclass(frozen=True, slots=True)
class Staleness:
    """Whether something is stale, and why."""

    status: StaleStatus
    causes: Sequence[Cause] = ()
    why_unknown: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """The newest event that tells of data: of what nobody can make an observation, else a materialization."""

    id: int
    at: datetime
    tags: Mapping[str, str]

    @property
    def version(self) -> str:
        """The data's version."""
        return next((self.tags[name] for name in _DATA_VERSION if self.tags.get(name)), _INITIAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What a judgement goes by."""

    assets: Mapping[AssetPath, CatalogAsset]
    #: Of what is judged, and of what is right above it.
    records: Mapping[Place, Record]
    #: Of older events that were inputs, by their ids.
    inputs: Mapping[int, Record]


@dataclass(frozen=True, slots=True)
class _Provenance:
    """What something was made of, as its materialization tells it."""

    code_version: str
    versions: Mapping[str, str]
    pointers: Mapping[str, int | None]

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "_Provenance | None":
        if _CODE_VERSION not in tags:
            return None
        versions = {
            key.removeprefix(prefix): value
            for prefix in reversed(_INPUT_VERSION)
            for key, value in tags.items()
            if key.startswith(prefix)
        }
        pointers = {
            key.removeprefix(_INPUT_POINTER): int(value) if value.isdecimal() else None
            for key, value in tags.items()
            if key.startswith(_INPUT_POINTER)
        }
        return cls(tags[_CODE_VERSION], versions, pointers)


def places_of(wanted: Sequence[Place], *, assets: Mapping[AssetPath, CatalogAsset]) -> set[Place]:
    """Return the places whose records are needed to judge some: themselves, and what is right above them."""
    found: set[Place] = set()
    for path, partition in wanted:
        if path in assets and _is_judged_here(assets[path], partition):
            found |= {(path, partition), *needed(path, partition, assets=assets).places}
    return found


def pointers_of(records: Mapping[Place, Record]) -> set[int]:
    """Return the ids of the events that are named as inputs."""
    pointers = (value for it in records.values() for key, value in it.tags.items() if key.startswith(_INPUT_POINTER))
    return {int(value) for value in pointers if value.isdecimal()}


def judge(place: Place, *, known: Known) -> Staleness:
    """Tell whether an asset, or a partition of it, is stale."""
    path, partition = place
    it = known.assets.get(path)
    if it is None:
        return Staleness(StaleStatus.UNKNOWN, why_unknown="no location knows it")
    if not _is_judged_here(it, partition):
        return Staleness(StaleStatus.UNKNOWN, why_unknown="it has partitions: each is judged by itself")
    record = known.records.get(place)
    if not it.asset.is_materializable:
        return Staleness(StaleStatus.FRESH)
    if record is None:
        return Staleness(StaleStatus.MISSING)
    above = needed(path, partition, assets=known.assets)
    if above.why_unknown:
        return Staleness(StaleStatus.UNKNOWN, why_unknown=above.why_unknown)
    causes = _causes(it, record, above=above.places, known=known)
    return Staleness(StaleStatus.STALE if causes else StaleStatus.FRESH, causes)


def _is_judged_here(it: CatalogAsset, partition: str) -> bool:
    return bool(partition) == (it.asset.partitions_told is not None)


def _causes(it: CatalogAsset, record: Record, *, above: Sequence[Place], known: Known) -> list[Cause]:
    made_of = _Provenance.of(record.tags)
    if made_of is None:
        return [cause for place in above if (cause := _by_time(place, record, known=known)) is not None]
    causes = []
    if it.asset.code_version and it.asset.code_version != made_of.code_version:
        causes.append(Cause(CauseKind.CODE, "has a new code version"))
    parents = {"/".join(path) for path in it.asset.parents}
    causes += [
        Cause(CauseKind.DEPENDENCIES, f"removed dependency on {name}", tuple(name.split("/")))
        for name in sorted(made_of.versions.keys() - parents)
    ]
    return causes + [cause for place in above if (cause := _by_version(place, made_of, known=known)) is not None]


def _by_version(place: Place, made_of: _Provenance, *, known: Known) -> Cause | None:
    path, partition = place
    name = "/".join(path)
    if name not in made_of.versions or name not in made_of.pointers:
        return Cause(CauseKind.DEPENDENCIES, f"has a new dependency on {name}", path, partition)
    record = known.records.get(place)
    if partition:
        is_updated = _is_newer(record, since=made_of.pointers[name], known=known)
    else:
        before, now = made_of.versions[name], _version(place, known=known)
        is_updated = before != now and not (before == _INITIAL and now == _NOTHING)
    if not is_updated:
        return None
    is_versioned = _has_versions(place, record, known=known)
    return Cause(
        CauseKind.DATA, f"has a new dependency {'data version' if is_versioned else 'materialization'}", path, partition
    )


def _is_newer(record: Record | None, *, since: int | None, known: Known) -> bool:
    """Tell whether a partition was made anew, with other data, after the event that was the input."""
    if record is None or since is None or record.id <= since:
        return False
    before = known.inputs.get(since)
    return before is None or before.version != record.version


def _version(place: Place, *, known: Known) -> str:
    record, it = known.records.get(place), known.assets.get(place[0])
    if record is not None:
        return record.version
    return _NOTHING if it is not None and it.asset.is_materializable else _INITIAL


def _has_versions(place: Place, record: Record | None, *, known: Known) -> bool:
    """Tell whether somebody thinks in versions of this data; without, each materialization has a new one."""
    it = known.assets.get(place[0])
    if it is None or not it.asset.is_materializable or it.asset.code_version:
        return True
    return record is not None and _CODE_VERSION in record.tags and record.tags.get(_IS_GIVEN) == "true"


def _by_time(place: Place, record: Record, *, known: Known) -> Cause | None:
    """Compare moments, where nothing tells of versions."""
    path, partition = place
    it, above = known.assets.get(path), known.records.get(place)
    if it is None or not it.asset.is_materializable:
        return None
    if above is None:
        return Cause(CauseKind.DATA, "has a new input", path, partition)
    if above.at <= record.at:
        return None
    return Cause(CauseKind.DATA, "has a new dependency materialization", path, partition)
