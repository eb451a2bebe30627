"""The catalog of assets, for people: over all locations, with how each fares."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.telemetry_pb2 import AssetKey, AssetSnapshot, CheckSeverity, Event, LocationSnapshot
from isthmus_store import asset_state, evaluations, locations, snapshots
from isthmus_store.asset_state import CheckState, EventPlace, PartitionState
from isthmus_store.evaluations import Evaluation
from isthmus_store.fact import asset_text
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.catalog import freshness, status
from isthmus_control_plane.catalog.status import AssetStatus, Check
from isthmus_control_plane.core import Core, read_snapshot
from isthmus_control_plane.errors import InvalidRequestError, NotFoundError, Violation
from isthmus_control_plane.fleet import world
from isthmus_control_plane.fleet.lookup import no_such_location
from isthmus_control_plane.key import DEFAULT, LocationKey
from isthmus_control_plane.validation import assets as rules
from isthmus_control_plane.validation.asset_query import AssetQueryError, Paths, select
from isthmus_control_plane.validation.definition import AssetPath
from isthmus_control_plane.validation.merged import CatalogAsset, merge
from isthmus_control_plane.validation.refusal import refuse
from isthmus_control_plane.validation.suggestion import meant

_DEFAULT_PAGE: Final = 100
_DEFAULT_EVALUATIONS: Final = 50


@dataclass(frozen=True, slots=True)
class _Catalog:
    """All assets of a deployment, and the snapshots that they are of, by location."""

    hashes: Mapping[str, str]
    assets: Mapping[AssetPath, CatalogAsset]


@dataclass(frozen=True, slots=True)
class AssetView:
    """An asset and how it fares."""

    deployment: str
    asset: CatalogAsset
    status: AssetStatus


@dataclass(frozen=True, slots=True)
class AssetPage:
    """Some assets, by their keys."""

    assets: Sequence[AssetView]
    next_token: str
    total: int


@dataclass(frozen=True, slots=True)
class AssetWhole:
    """An asset with its definition, and the newest events about it."""

    view: AssetView
    definition: AssetSnapshot
    materialization: Event | None
    observation: Event | None


@dataclass(frozen=True, slots=True)
class PartitionPage:
    """Some partitions of an asset, and where their materializations are."""

    partitions: Sequence[PartitionState]
    places: Mapping[int, EventPlace]
    next_token: str


@dataclass(frozen=True, slots=True)
class EvaluationPage:
    """Some decisions about an asset, and whether there are older ones."""

    evaluations: Sequence[Evaluation]
    has_more: bool


class AssetDesk:
    """Shows assets."""

    def __init__(self, core: Core, *, memory: world.SyncMemory) -> None:
        self._core = core
        self._memory = memory
        #: The newest merged catalog of each deployment.
        self._merged: dict[str, _Catalog] = {}

    async def page(self, request: api.ListAssetsRequest) -> AssetPage:
        """Return one page of the assets that a request asks for.

        Raises:
            NotFoundError: There is no such location.
            InvalidRequestError: The selection is none, or selects nothing.
        """
        refuse(rules.list_assets(request))
        deployment = request.deployment or DEFAULT
        async with self._core.database.read() as tx:
            if request.location:
                await _check_location(tx, LocationKey(deployment, request.location))
            chosen = _chosen(request, assets=(await self._catalog(tx, deployment)).assets)
            size = request.page_size or _DEFAULT_PAGE
            behind = [it for it in chosen if it.key > request.page_token]
            shown = behind[:size]
            views = await _views(tx, deployment, shown)
        token = shown[-1].key if len(behind) > size else ""
        return AssetPage(views, token, total=len(chosen))

    async def get(self, request: api.GetAssetRequest) -> AssetWhole:
        """Return one asset whole.

        Raises:
            NotFoundError: No location knows it.
        """
        refuse(rules.of_asset(deployment=request.deployment, key=request.key))
        deployment = request.deployment or DEFAULT
        async with self._core.database.read() as tx:
            catalog = await self._catalog(tx, deployment)
            found = _existing(catalog, deployment, request.key)
            view = (await _views(tx, deployment, [found]))[0]
            places = (view.status.materialization, view.status.observation)
            events = await asset_state.bodies(tx, [it.id for it in places if it is not None])
            body = await snapshots.get(tx, catalog.hashes[found.location]) or b""
        told = [Event.FromString(events[it.id]) if it is not None and it.id in events else None for it in places]
        definition = await read_snapshot(body, of=partial(_definition, path=found.path))
        return AssetWhole(view, definition, *told)

    async def partitions(self, request: api.ListAssetPartitionsRequest) -> PartitionPage:
        """Return some partitions of an asset of which anything was told.

        Raises:
            NotFoundError: No location knows the asset.
        """
        refuse(rules.list_partitions(request))
        deployment, size = request.deployment or DEFAULT, request.page_size or rules.MAX_PARTITIONS
        asset = asset_text(request.key.path)
        async with self._core.database.read() as tx:
            _existing(await self._catalog(tx, deployment), deployment, request.key)
            found = await asset_state.partitions(
                tx,
                asset_state.PartitionsOf(
                    deployment=deployment,
                    asset=asset,
                    is_failed_only=request.is_failed_only,
                    after=request.page_token,
                    limit=size + 1,
                ),
            )
            shown = found[:size]
            places = await asset_state.places(tx, [it.materialized_id for it in shown])
        return PartitionPage(shown, places, shown[-1].partition if len(found) > size else "")

    async def selected(self, tx: Transaction, deployment: str, selection: str) -> Paths:
        """Return the assets that a selection has now; none where nothing of it is there."""
        assets = (await self._catalog(tx, deployment)).assets
        try:
            return select(selection, assets={path: it.asset for path, it in assets.items()}, is_to_look=True)
        except AssetQueryError:
            return frozenset()

    async def fares(self, tx: Transaction, deployment: str) -> list[AssetView]:
        """Return how all assets of a deployment fare."""
        return await _views(tx, deployment, list((await self._catalog(tx, deployment)).assets.values()))

    async def evaluations(self, request: api.ListAssetEvaluationsRequest) -> EvaluationPage:
        """Return what sensors of automation decided about an asset, newest first.

        Raises:
            NotFoundError: No location knows the asset.
        """
        refuse(rules.list_evaluations(request))
        deployment, size = request.deployment or DEFAULT, request.page_size or _DEFAULT_EVALUATIONS
        async with self._core.database.read() as tx:
            _existing(await self._catalog(tx, deployment), deployment, request.key)
            found = await evaluations.page(
                tx,
                evaluations.EvaluationQuery(
                    deployment=deployment,
                    asset=asset_text(request.key.path),
                    check_name=request.check_name,
                    is_requesting_only=request.is_requesting_only,
                    before_id=request.before_id,
                    limit=size + 1,
                ),
            )
        return EvaluationPage(found[:size], has_more=len(found) > size)

    async def _catalog(self, tx: Transaction, deployment: str) -> _Catalog:
        """Return the deployment's assets; of a location that does not serve now, as it did last."""
        seen = await world.read(tx, memory=self._memory, at=clock.now(), deployment=deployment)
        defining = {key.name: held for key in seen.placements if (held := seen.defining(key)) is not None}
        hashes = {name: held.snapshot_hash for name, held in defining.items() if held.snapshot_hash}
        known = self._merged.get(deployment)
        if known is None or known.hashes != hashes:
            defined = {name: await self._core.definitions.get(tx, found) for name, found in hashes.items()}
            known = _Catalog(hashes, merge({name: it for name, it in defined.items() if it is not None}))
            self._merged[deployment] = known
        return known


def _existing(catalog: _Catalog, deployment: str, key: AssetKey) -> CatalogAsset:
    found = catalog.assets.get(tuple(key.path))
    if found is None:
        raise NotFoundError(
            "asset",
            name="/".join(key.path),
            deployment=deployment,
            hint=meant("/".join(key.path), known=("/".join(path) for path in catalog.assets)),
            remedy="All assets: isthmus asset list",
        )
    return found


async def _check_location(tx: Transaction, key: LocationKey) -> None:
    if await locations.get(tx, deployment=key.deployment, name=key.name) is None:
        raise await no_such_location(tx, key)


def _chosen(request: api.ListAssetsRequest, *, assets: Mapping[AssetPath, CatalogAsset]) -> list[CatalogAsset]:
    """Return what a request asks for, in the order of pages, which is that of the catalog."""
    paths: Collection[AssetPath] = assets.keys()
    if request.selection:
        try:
            paths = select(request.selection, assets={path: it.asset for path, it in assets.items()}, is_to_look=True)
        except AssetQueryError as error:
            near = meant(error.missing, known=("/".join(path) for path in assets)) if error.missing else ""
            raise InvalidRequestError([Violation("selection", "; ".join(filter(None, (error.why, near))))]) from error
    part = request.search.casefold()
    return [
        it
        for path, it in assets.items()
        if path in paths and part in "/".join(path).casefold() and request.location in {"", it.location}
    ]


async def _views(tx: Transaction, deployment: str, assets: Sequence[CatalogAsset]) -> list[AssetView]:
    """Read how assets fare: in a few statements, however many they are."""
    names = {it.key: it for it in assets}
    summaries = await asset_state.summaries(tx, deployment=deployment, assets=names)
    rows = await asset_state.checks(tx, deployment=deployment, assets=names)
    places = await asset_state.places(tx, status.ids_of(summaries.values(), checks=rows))
    unmet = [it.evaluated_id for it in rows if it.evaluated_id in places and _has_failed(places[it.evaluated_id])]
    warnings = _only_warnings(await asset_state.bodies(tx, unmet))
    checks = {(it.asset, it.check_name): it for it in rows}
    now = clock.now()
    found = []
    for name, it in names.items():
        summary = summaries.get(name)
        made = places.get(summary.materialized_id) if summary is not None else None
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
            freshness=_freshness(it, made=made, now=now),
        )
        found.append(AssetView(deployment, it, fares))
    return found


def _freshness(it: CatalogAsset, *, made: EventPlace | None, now: datetime) -> freshness.FreshnessState | None:
    if it.asset.freshness is None:
        return None
    at = made.occurred_at if made is not None else None
    return freshness.freshness(it.asset.freshness, materialized_at=at, now=now)


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


def _definition(body: bytes, path: AssetPath) -> AssetSnapshot:
    assets: Iterable[AssetSnapshot] = LocationSnapshot.FromString(body).assets
    return next((it for it in assets if tuple(it.key.path) == path), AssetSnapshot())
