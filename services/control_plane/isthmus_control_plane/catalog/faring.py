"""Reads how assets fare: in a few statements, however many they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from isthmus.v1.telemetry_pb2 import CheckSeverity, Event
from isthmus_store import asset_freshness, asset_state
from isthmus_store.asset_freshness import FreshnessRow
from isthmus_store.asset_state import CheckState, EventPlace
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.catalog import freshness, status
from isthmus_control_plane.catalog.freshness import FreshnessState
from isthmus_control_plane.catalog.staleness import Staleness
from isthmus_control_plane.catalog.status import AssetStatus, Check
from isthmus_control_plane.validation.merged import CatalogAsset


@dataclass(frozen=True, slots=True)
class AssetView:
    """An asset and how it fares."""

    deployment: str
    asset: CatalogAsset
    status: AssetStatus
    #: None where nobody asked, and of an asset with partitions.
    stale: Staleness | None = None


async def views(tx: Transaction, deployment: str, assets: Sequence[CatalogAsset]) -> list[AssetView]:
    """Return how assets fare, in their order."""
    names = {it.key: it for it in assets}
    summaries = await asset_state.summaries(tx, deployment=deployment, assets=names)
    rows = await asset_state.checks(tx, deployment=deployment, assets=names)
    places = await asset_state.places(tx, status.ids_of(summaries.values(), checks=rows))
    unmet = [it.evaluated_id for it in rows if it.evaluated_id in places and _has_failed(places[it.evaluated_id])]
    warnings = _only_warnings(await asset_state.bodies(tx, unmet))
    checks = {(it.asset, it.check_name): it for it in rows}
    judged = [name for name, it in names.items() if it.asset.freshness is not None]
    told = await asset_freshness.some(tx, deployment=deployment, assets=judged)
    now = clock.now()
    found = []
    for name, it in names.items():
        summary = summaries.get(name)
        made = places.get(summary.materialized_id) if summary is not None else None
        state, since, until = _fresh(it, made=made, told=told.get(name), now=now)
        fares = AssetStatus(
            materialization=made,
            observation=places.get(summary.observed_id) if summary is not None else None,
            failure=places.get(summary.failed_id) if summary is not None else None,
            materialized=summary.materialized if summary is not None else 0,
            failed=summary.failed if summary is not None else 0,
            in_progress=summary.in_progress if summary is not None else 0,
            checks=[
                _check(check, state=checks.get((name, check)), places=places, warnings=warnings)
                for check in sorted(it.asset.checks)
            ],
            freshness=state,
            fresh_since=since,
            fresh_until=until,
        )
        found.append(AssetView(deployment, it, fares))
    return found


def _fresh(
    it: CatalogAsset, *, made: EventPlace | None, told: FreshnessRow | None, now: datetime
) -> tuple[FreshnessState | None, datetime | None, datetime | None]:
    """Judge an asset's freshness now, and tell since when it is so, and until when."""
    policy = it.asset.freshness
    if policy is None:
        return None, None, None
    at = made.occurred_at if made is not None else None
    state = freshness.freshness(policy, materialized_at=at, now=now)
    since = told.changed_at if told is not None and told.state == state.value else None
    return state, since, freshness.next_change(policy, materialized_at=at, now=now)


def _check(name: str, *, state: CheckState | None, places: Mapping[int, EventPlace], warnings: frozenset[int]) -> Check:
    place = places.get(state.evaluated_id) if state is not None else None
    came = status.check_status(
        state,
        outcome=place.outcome if place is not None else "",
        is_only_to_warn=place is not None and place.id in warnings,
    )
    return Check(name, came, place)


def _has_failed(place: EventPlace) -> bool:
    return place.outcome == "FAILED"


def _only_warnings(bodies: Mapping[int, bytes]) -> frozenset[int]:
    """Return the ids of evaluations that are only to warn."""
    warn = CheckSeverity.CHECK_SEVERITY_WARN
    return frozenset(
        number for number, body in bodies.items() if Event.FromString(body).asset_check_evaluated.severity == warn
    )
