"""Assets: as lists, one whole, and their partitions."""

from collections.abc import Iterable, Sequence

from isthmus.v1.control_plane_pb2 import (
    AssetCheckState,
    AssetCheckStatus,
    AssetDetail,
    AssetEventRef,
    AssetFreshness,
    AssetHealth,
    AssetPartition,
    CatalogAsset,
)
from isthmus.v1.telemetry_pb2 import AssetKey, Event, MetadataEntry

from isthmus_cli.document import enum_text
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.table import Column, Room, short_ids, table
from isthmus_cli.view.text import age_text, asset_text, count_text, value_text

_ASSETS = (
    Column("ASSET", least=16),
    Column("HEALTH"),
    Column("GROUP", may_go=True),
    Column("LOCATION", least=8),
    Column("KINDS", least=6, may_go=True),
    Column("MADE"),
    Column("PARTITIONS"),
    Column("OWNERS", is_extra=True),
    Column("WHY", least=16),
)
_PARTITIONS = (Column("PARTITION", least=10), Column("STATE"), Column("MADE"), Column("RUN"))
_BAD = frozenset(
    {
        AssetCheckStatus.ASSET_CHECK_STATUS_FAILED,
        AssetCheckStatus.ASSET_CHECK_STATUS_WARNED,
        AssetCheckStatus.ASSET_CHECK_STATUS_NOT_EXECUTED,
    }
)
_SHOWN_METADATA = 50


def asset_table(assets: Iterable[CatalogAsset], *, paint: Paint, room: Room) -> list[str]:
    """List assets, one per line."""
    rows = [
        (
            asset_text(it.key),
            _health(it.health, paint=paint),
            it.group or "-",
            it.location,
            ", ".join(it.kinds) or "-",
            age_text(it.last_materialization.at) if it.HasField("last_materialization") else "-",
            str(it.materialized_partitions) if it.is_partitioned else "-",
            ", ".join(it.owners) or "-",
            why_text(it),
        )
        for it in assets
    ]
    return table(_ASSETS, rows, room=room)


def why_text(it: CatalogAsset) -> str:
    """Tell what is wrong with an asset, and what goes on with it."""
    parts = []
    if it.failed:
        parts.append(f"{count_text(it.failed, 'partition')} failed" if it.is_partitioned else "its last attempt failed")
    parts += [f"check {check.name} {_check_word(check)}" for check in it.checks if check.status in _BAD]
    if it.freshness == AssetFreshness.ASSET_FRESHNESS_FAILING:
        parts.append("it is too old")
    if it.freshness == AssetFreshness.ASSET_FRESHNESS_WARNING:
        parts.append("it is nearly too old")
    if it.in_progress:
        is_many = it.is_partitioned
        parts.append(f"{count_text(it.in_progress, 'partition')} being made" if is_many else "it is being made")
    if it.is_stub:
        parts.append("known by its name alone")
    return "; ".join(parts)


def asset_lines(detail: AssetDetail, *, paint: Paint) -> list[str]:
    """Tell one asset whole."""
    it, definition = detail.asset, detail.definition
    why = why_text(it)
    facts = [
        ("asset", paint.bold(asset_text(it.key))),
        ("location", ", ".join((it.location, *(f"also {name}" for name in it.other_locations)))),
        ("about", " ".join(definition.description.split())),
        ("group", it.group),
        ("kinds", ", ".join(it.kinds)),
        ("owners", ", ".join(it.owners)),
        ("tags", ", ".join(f"{key}={value}" if value else key for key, value in sorted(it.tags.items()))),
        ("code", definition.code_version),
        ("jobs", ", ".join(name for name in definition.jobs if not name.startswith("__"))),
        ("health", f"{_health(it.health, paint=paint)}{f'  {paint.dim(why)}' if why else ''}"),
        ("freshness", _freshness(it.freshness)),
        ("made", _when(it.last_materialization) if it.HasField("last_materialization") else "never"),
        ("observed", _when(it.last_observation) if it.HasField("last_observation") else ""),
        ("failed", _when(it.last_failure) if it.HasField("last_failure") and it.failed else ""),
        ("partitions", f"{it.materialized_partitions} made, {it.failed} failed" if it.is_partitioned else ""),
        ("above", _keys(it.parents)),
        ("below", _keys(it.children)),
    ]
    lines = [f"{paint.dim(f'{name:12}')}{value}" for name, value in facts if value]
    lines += _check_lines(it.checks, paint=paint)
    lines += _metadata_lines("it was made with", _metadata(detail.materialization), paint=paint)
    return lines + _metadata_lines("it is defined with", definition.metadata, paint=paint)


def partition_table(partitions: Sequence[AssetPartition], *, paint: Paint, room: Room) -> list[str]:
    """List partitions, one per line."""
    ids = short_ids([it.materialization.run_id for it in partitions], room=room)
    rows = [
        (
            it.key,
            _partition_state(it, paint=paint),
            age_text(it.materialization.at) if it.HasField("materialization") else "-",
            run_id or "-",
        )
        for it, run_id in zip(partitions, ids, strict=True)
    ]
    return table(_PARTITIONS, rows, room=room)


def _partition_state(it: AssetPartition, *, paint: Paint) -> str:
    if it.is_in_progress:
        return paint.cyan("IN PROGRESS")
    if it.is_failed:
        return paint.red("FAILED")
    return paint.green("MADE") if it.HasField("materialization") else paint.dim("MISSING")


def _check_lines(checks: Sequence[AssetCheckState], *, paint: Paint) -> list[str]:
    if not checks:
        return []
    rows = [
        (
            it.name,
            _painted_check(it, paint=paint),
            age_text(it.evaluation.at) if it.HasField("evaluation") else "-",
        )
        for it in checks
    ]
    return ["", *table((Column("CHECK"), Column("STATUS"), Column("EVALUATED")), rows, room=Room())]


def _painted_check(it: AssetCheckState, *, paint: Paint) -> str:
    word = enum_text(it.status, descriptor=AssetCheckStatus.DESCRIPTOR).replace("_", " ")
    if it.status == AssetCheckStatus.ASSET_CHECK_STATUS_PASSED:
        return paint.green(word)
    if it.status == AssetCheckStatus.ASSET_CHECK_STATUS_WARNED:
        return paint.yellow(word)
    return paint.red(word) if it.status in _BAD else paint.dim(word)


def _check_word(it: AssetCheckState) -> str:
    return enum_text(it.status, descriptor=AssetCheckStatus.DESCRIPTOR).replace("_", " ").lower()


def _metadata_lines(head: str, entries: Sequence[MetadataEntry], *, paint: Paint) -> list[str]:
    if not entries:
        return []
    shown = [f"  {it.label}  {value_text(it.value)}" for it in entries[:_SHOWN_METADATA]]
    return ["", paint.dim(head), *shown]


def _metadata(event: Event) -> Sequence[MetadataEntry]:
    return event.asset_materialized.metadata


def _health(health: "AssetHealth.ValueType", *, paint: Paint) -> str:
    word = enum_text(health, descriptor=AssetHealth.DESCRIPTOR)
    if health == AssetHealth.ASSET_HEALTH_HEALTHY:
        return paint.green(word)
    if health == AssetHealth.ASSET_HEALTH_DEGRADED:
        return paint.red(word)
    return paint.yellow(word) if health == AssetHealth.ASSET_HEALTH_WARNING else paint.dim(word)


def _freshness(freshness: "AssetFreshness.ValueType") -> str:
    return enum_text(freshness, descriptor=AssetFreshness.DESCRIPTOR).lower() if freshness else ""


def _when(place: AssetEventRef) -> str:
    where = f" by run {place.run_id}" if place.run_id else ", reported from outside"
    return f"{age_text(place.at)}{where}"


def _keys(keys: Sequence[AssetKey]) -> str:
    return ", ".join(asset_text(key) for key in keys)
