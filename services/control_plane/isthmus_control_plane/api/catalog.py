"""The calls about assets: each handed to its desk, each record turned into its message."""
# ruff: noqa: N802, D102, ARG002 - gRPC gives the methods names and arguments, and the contract documents them

from typing import Any

import grpc
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.control_plane_pb2_grpc import ControlPlaneServicer
from isthmus.v1.telemetry_pb2 import AssetKey, AutomationDecision, ConditionTree
from isthmus_store.asset_state import EventPlace
from isthmus_store.evaluations import Evaluation

from isthmus_control_plane import clock
from isthmus_control_plane.automation import reason
from isthmus_control_plane.catalog.status import Check
from isthmus_control_plane.desk.assets import AssetDesk, AssetView

_Context = grpc.aio.ServicerContext[Any, Any]


class CatalogService(ControlPlaneServicer):
    """Answers the calls about assets."""

    def __init__(self, desk: AssetDesk) -> None:
        self._assets = desk

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
    )
    if fares.freshness is not None:
        told.freshness = api.AssetFreshness.Value(f"ASSET_FRESHNESS_{fares.freshness.value}")
    return told


def _check(it: Check) -> api.AssetCheckState:
    status = api.AssetCheckStatus.Value(f"ASSET_CHECK_STATUS_{it.status.value}")
    return api.AssetCheckState(name=it.name, status=status, evaluation=_ref(it.evaluation))


def _ref(place: EventPlace | None) -> api.AssetEventRef | None:
    if place is None:
        return None
    return api.AssetEventRef(event_id=place.id, run_id=place.run_id, at=clock.stamp(place.occurred_at))
