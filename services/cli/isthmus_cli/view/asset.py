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
    AssetStaleness,
    AssetWipe,
    CatalogAsset,
    StaleCause,
    StaleStatus,
)
from isthmus.v1.telemetry_pb2 import AssetKey, Event, MetadataEntry

from isthmus_cli.document import enum_text
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.table import Column, Room, short_ids, table
from isthmus_cli.view.text import age_text, asset_text, count_text, moment_text, value_text

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
_WIPES = (
    Column("WIPED"),
    Column("ASSET", least=16),
    Column("PARTITIONS", least=10),
    Column("EVENTS"),
    Column("BY", least=6),
    Column("WHY", least=12),
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
    if it.stale.status == StaleStatus.STALE_STATUS_STALE:
        parts.append("stale: " + cause_text(it.stale.causes[0]) if it.stale.causes else "stale")
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
        ("freshness", _freshness(it)),
        ("stale", _stale(it.stale)),
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


def wipe_table(wipes: Iterable[AssetWipe], *, room: Room) -> list[str]:
    """List who wiped what, one wipe per line."""
    rows = [
        (
            age_text(it.wiped_at),
            asset_text(it.key),
            ", ".join(it.partitions) or "all",
            str(it.events),
            it.wiped_by or "-",
            it.why or "-",
        )
        for it in wipes
    ]
    return table(_WIPES, rows, room=room)


def _partition_state(it: AssetPartition, *, paint: Paint) -> str:
    if it.is_in_progress:
        return paint.cyan("IN PROGRESS")
    if it.is_failed:
        return paint.red("FAILED")
    if not it.HasField("materialization"):
        return paint.dim("MISSING")
    return paint.yellow("STALE") if it.stale.status == StaleStatus.STALE_STATUS_STALE else paint.green("MADE")


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


def _freshness(it: CatalogAsset) -> str:
    if not it.freshness:
        return ""
    word = enum_text(it.freshness, descriptor=AssetFreshness.DESCRIPTOR).lower()
    since = f", since {age_text(it.freshness_since)}" if it.HasField("freshness_since") else ""
    return word + since + (f", until {moment_text(it.freshness_until)}" if it.HasField("freshness_until") else "")


def _stale(it: AssetStaleness) -> str:
    if it.status == StaleStatus.STALE_STATUS_STALE:
        return "; ".join(map(cause_text, it.causes)) or "yes"
    if it.status == StaleStatus.STALE_STATUS_UNKNOWN:
        return it.why_unknown
    return "no" if it.status == StaleStatus.STALE_STATUS_FRESH else ""


def cause_text(it: StaleCause) -> str:
    """Tell what changed since an asset was made."""
    name = asset_text(it.dependency) if it.dependency.path else ""
    place = f"{name} of {it.partition}" if it.partition else name
    return it.text if not name or name in it.text else f"{it.text}: {place}"


def _when(place: AssetEventRef) -> str:
    where = f" by run {place.run_id}" if place.run_id else ", reported from outside"
    return f"{age_text(place.at)}{where}"


def _keys(keys: Sequence[AssetKey]) -> str:
    return ", ".join(asset_text(key) for key in keys)
