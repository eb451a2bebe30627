"""The catalog of assets, for people: over all locations, with how each fares."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.telemetry_pb2 import AssetSnapshot, Event, LocationSnapshot
from isthmus_store import asset_state, evaluations, locations, snapshots
from isthmus_store.asset_state import EventPlace, PartitionState
from isthmus_store.evaluations import Evaluation
from isthmus_store.fact import asset_text
from isthmus_store.transaction import Transaction

from isthmus_control_plane.catalog import faring, stale
from isthmus_control_plane.catalog.faring import AssetView
from isthmus_control_plane.catalog.merging import Catalog, CatalogMemory
from isthmus_control_plane.catalog.staleness import Staleness, StaleStatus
from isthmus_control_plane.core import Core, read_snapshot
from isthmus_control_plane.errors import InvalidRequestError, Violation
from isthmus_control_plane.fleet.lookup import no_such_location
from isthmus_control_plane.key import DEFAULT, LocationKey
from isthmus_control_plane.validation import assets as rules
from isthmus_control_plane.validation.asset_query import AssetQueryError, Paths, select
from isthmus_control_plane.validation.definition import AssetPath
from isthmus_control_plane.validation.merged import CatalogAsset
from isthmus_control_plane.validation.refusal import refuse
from isthmus_control_plane.validation.suggestion import meant

_DEFAULT_PAGE: Final = 100
_DEFAULT_EVALUATIONS: Final = 50

_Judged = Mapping[tuple[AssetPath, str], Staleness]


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
    #: Whether each is stale, by its key.
    stale: Mapping[str, Staleness]
    next_token: str


@dataclass(frozen=True, slots=True)
class EvaluationPage:
    """Some decisions about an asset, and whether there are older ones."""

    evaluations: Sequence[Evaluation]
    has_more: bool


class AssetDesk:
    """Shows assets."""

    def __init__(self, core: Core, *, catalogs: CatalogMemory) -> None:
        self._core = core
        self._catalogs = catalogs

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
            catalog = await self._catalogs.of(tx, deployment)
            chosen = _chosen(request, assets=catalog.assets)
            judged: _Judged | None = None
            if request.is_stale_only:
                judged = await _judge(tx, catalog, chosen)
                chosen = [
                    it for it in chosen if (told := judged.get((it.path, ""))) and told.status is StaleStatus.STALE
                ]
            size = request.page_size or _DEFAULT_PAGE
            behind = [it for it in chosen if it.key > request.page_token]
            shown = behind[:size]
            if judged is None:
                judged = await _judge(tx, catalog, shown)
            views = _told_of(await faring.views(tx, deployment, shown), judged=judged)
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
            catalog = await self._catalogs.of(tx, deployment)
            found = catalog.get(request.key)
            judged = await _judge(tx, catalog, [found])
            view = _told_of(await faring.views(tx, deployment, [found]), judged=judged)[0]
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
            catalog = await self._catalogs.of(tx, deployment)
            path = catalog.get(request.key).path
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
            judged = await stale.judge(tx, catalog, [(path, it.partition) for it in shown])
        told = {partition: it for (_, partition), it in judged.items()}
        return PartitionPage(shown, places, told, shown[-1].partition if len(found) > size else "")

    async def selected(self, tx: Transaction, deployment: str, selection: str) -> Paths:
        """Return the assets that a selection has now; none where nothing of it is there."""
        assets = (await self._catalogs.of(tx, deployment)).assets
        try:
            return select(selection, assets={path: it.asset for path, it in assets.items()}, is_to_look=True)
        except AssetQueryError:
            return frozenset()

    async def fares(self, tx: Transaction, deployment: str) -> list[AssetView]:
        """Return how all assets of a deployment fare."""
        return await faring.views(tx, deployment, list((await self._catalogs.of(tx, deployment)).assets.values()))

    async def evaluations(self, request: api.ListAssetEvaluationsRequest) -> EvaluationPage:
        """Return what sensors of automation decided about an asset, newest first.

        Raises:
            NotFoundError: No location knows the asset.
        """
        refuse(rules.list_evaluations(request))
        deployment, size = request.deployment or DEFAULT, request.page_size or _DEFAULT_EVALUATIONS
        async with self._core.database.read() as tx:
            (await self._catalogs.of(tx, deployment)).get(request.key)
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


async def _judge(tx: Transaction, catalog: Catalog, assets: Iterable[CatalogAsset]) -> _Judged:
    """Tell of assets whether they are stale; of those with partitions each is judged by itself, and they are left out."""
    return await stale.judge(tx, catalog, [(it.path, "") for it in assets if it.asset.partitions is None])


def _told_of(views: Iterable[AssetView], *, judged: _Judged) -> list[AssetView]:
    return [replace(it, stale=judged.get((it.asset.path, ""))) for it in views]


def _definition(body: bytes, path: AssetPath) -> AssetSnapshot:
    assets: Iterable[AssetSnapshot] = LocationSnapshot.FromString(body).assets
    return next((it for it in assets if tuple(it.key.path) == path), AssetSnapshot())
