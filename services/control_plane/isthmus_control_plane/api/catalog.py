"""The calls about assets: each handed to its desk, each record turned into its message."""
# ruff: noqa: N802, D102, ARG002 - gRPC gives the methods names and arguments, and the contract documents them

from typing import Any

import grpc
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.control_plane_pb2_grpc import ControlPlaneServicer
from isthmus.v1.telemetry_pb2 import AssetKey, AutomationDecision, ConditionTree
from isthmus_store.asset_state import EventPlace
from isthmus_store.asset_wipes import AssetWipe
from isthmus_store.evaluations import Evaluation
from isthmus_store.fact import asset_key

from isthmus_control_plane import clock
from isthmus_control_plane.automation import reason
from isthmus_control_plane.catalog.faring import AssetView
from isthmus_control_plane.catalog.staleness import Staleness
from isthmus_control_plane.catalog.status import Check
from isthmus_control_plane.desk.asset_changes import AssetChangeDesk, partitions_of
from isthmus_control_plane.desk.assets import AssetDesk

_Context = grpc.aio.ServicerContext[Any, Any]


class CatalogService(ControlPlaneServicer):
    """Answers the calls about assets."""

    def __init__(self, assets: AssetDesk, *, changes: AssetChangeDesk) -> None:
        self._assets = assets
        self._changes = changes

    async def ListAssets(self, request: api.ListAssetsRequest, context: _Context) -> api.ListAssetsPage:
        page = await self._assets.page(request)
        return api.ListAssetsPage(
            assets=[_asset(it) for it in page.assets], next_page_token=page.next_token, total=page.total
        )

    async def GetAsset(self, request: api.GetAssetRequest, context: _Context) -> api.AssetDetail:
        whole = await self._assets.get(request)
        return api.AssetDetail(
            asset=_asset(whole.view),
            definition=whole.definition,
            materialization=whole.materialization,
            observation=whole.observation,
        )

    async def ListAssetPartitions(
        self, request: api.ListAssetPartitionsRequest, context: _Context
    ) -> api.ListAssetPartitionsPage:
        page = await self._assets.partitions(request)
        told = [
            api.AssetPartition(
                key=it.partition,
                materialization=_ref(page.places.get(it.materialized_id)),
                is_failed=it.is_failed,
                is_in_progress=it.is_in_progress,
                stale=_stale(page.stale.get(it.partition)),
            )
            for it in page.partitions
        ]
        return api.ListAssetPartitionsPage(partitions=told, next_page_token=page.next_token)

    async def ListAssetEvaluations(
        self, request: api.ListAssetEvaluationsRequest, context: _Context
    ) -> api.ListAssetEvaluationsPage:
        page = await self._assets.evaluations(request)
        return api.ListAssetEvaluationsPage(
            evaluations=[_evaluation(it) for it in page.evaluations], has_more=page.has_more
        )

    async def ReportAssetEvent(
        self, request: api.ReportAssetEventRequest, context: _Context
    ) -> api.ReportAssetEventResponse:
        return api.ReportAssetEventResponse(event=_ref(await self._changes.report(request)))

    async def WipeAsset(self, request: api.WipeAssetRequest, context: _Context) -> api.AssetWipe:
        return _wipe(await self._changes.wipe(request))

    async def ListAssetWipes(self, request: api.ListAssetWipesRequest, context: _Context) -> api.ListAssetWipesPage:
        page = await self._changes.wipes(request)
        return api.ListAssetWipesPage(wipes=[_wipe(it) for it in page.wipes], has_more=page.has_more)


def _wipe(it: AssetWipe) -> api.AssetWipe:
    return api.AssetWipe(
        id=it.id,
        key=asset_key(it.asset),
        partitions=partitions_of(it),
        events=it.events,
        wiped_by=it.wiped_by,
        why=it.why,
        wiped_at=clock.stamp(it.wiped_at),
    )


def _evaluation(it: Evaluation) -> api.AssetEvaluation:
    decision, condition = AutomationDecision.FromString(it.body), ConditionTree.FromString(it.tree)
    told = api.AssetEvaluation(
        id=it.id,
        at=clock.stamp(it.at),
        location=it.location,
        sensor=it.sensor,
        tick_id=it.tick_id,
        requested=decision.requested,
    )
    whole = reason.tree(condition.nodes, decision.nodes)
    if whole is not None:
        told.reason = reason.reason(whole)
        for node in reason.flat(whole):
            told.nodes.add(depth=node.depth, condition=node.condition, decision=node.decision)
    return told


def _asset(view: AssetView) -> api.CatalogAsset:
    it, fares = view.asset, view.status
    told = api.CatalogAsset(
        deployment=view.deployment,
        key=AssetKey(path=it.path),
        location=it.location,
        other_locations=it.other_locations,
        group=it.asset.group,
        kinds=sorted(it.asset.kinds),
        owners=sorted(it.asset.owners),
        tags=it.asset.tags,
        parents=[AssetKey(path=path) for path in sorted(it.asset.parents)],
        children=[AssetKey(path=path) for path in it.children],
        is_materializable=it.asset.is_materializable,
        is_observable=it.asset.is_observable,
        is_stub=it.asset.is_stub,
        is_partitioned=it.asset.partitions is not None,
        last_materialization=_ref(fares.materialization),
        last_observation=_ref(fares.observation),
        last_failure=_ref(fares.failure),
        health=api.AssetHealth.Value(f"ASSET_HEALTH_{fares.health.value}"),
        checks=[_check(check) for check in fares.checks],
        materialized_partitions=fares.materialized,
        failed=fares.failed,
        in_progress=fares.in_progress,
        stale=_stale(view.stale),
    )
    if fares.freshness is not None:
        told.freshness = api.AssetFreshness.Value(f"ASSET_FRESHNESS_{fares.freshness.value}")
    if fares.fresh_since is not None:
        told.freshness_since.CopyFrom(clock.stamp(fares.fresh_since))
    if fares.fresh_until is not None:
        told.freshness_until.CopyFrom(clock.stamp(fares.fresh_until))
    return told


def _stale(it: Staleness | None) -> api.AssetStaleness | None:
    if it is None:
        return None
    told = api.AssetStaleness(
        status=api.StaleStatus.Value(f"STALE_STATUS_{it.status.value}"), why_unknown=it.why_unknown
    )
    for cause in it.causes:
        told.causes.add(
            kind=api.StaleCause.Kind.Value(f"KIND_{cause.kind.value}"),
            text=cause.text,
            dependency=AssetKey(path=cause.dependency) if cause.dependency else None,
            partition=cause.partition,
        )
    return told


def _check(it: Check) -> api.AssetCheckState:
    status = api.AssetCheckStatus.Value(f"ASSET_CHECK_STATUS_{it.status.value}")
    return api.AssetCheckState(name=it.name, status=status, evaluation=_ref(it.evaluation))


def _ref(place: EventPlace | None) -> api.AssetEventRef | None:
    if place is None:
        return None
    return api.AssetEventRef(event_id=place.id, run_id=place.run_id, at=clock.stamp(place.occurred_at))
