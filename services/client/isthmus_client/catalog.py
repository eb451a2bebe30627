"""The client's calls about assets."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.v1.control_plane_pb2 import (
    AssetDetail,
    AssetEventRef,
    AssetWipe,
    GetAssetRequest,
    ListAssetEvaluationsPage,
    ListAssetEvaluationsRequest,
    ListAssetPartitionsPage,
    ListAssetPartitionsRequest,
    ListAssetsPage,
    ListAssetsRequest,
    ListAssetWipesPage,
    ListAssetWipesRequest,
    ReportAssetEventRequest,
    ReportAssetEventResponse,
    WipeAssetRequest,
)
from isthmus.v1.telemetry_pb2 import AssetKey

if TYPE_CHECKING:
    from isthmus.v1.control_plane_pb2_grpc import ControlPlaneAsyncStub


class CatalogCalls:
    """What a client asks of the assets of all locations."""

    _deployment: str
    _stub: "ControlPlaneAsyncStub"
    _call: Callable[..., Awaitable[Any]]

    async def list_assets(self, query: ListAssetsRequest | None = None) -> ListAssetsPage:
        """Tell one page of the assets that a query asks for, by their keys; all without one."""
        request = ListAssetsRequest()
        request.CopyFrom(query or request)
        request.deployment = request.deployment or self._deployment
        page: ListAssetsPage = await self._call(self._stub.ListAssets, request)
        return page

    async def get_asset(self, key: AssetKey) -> AssetDetail:
        """Tell one asset whole; NotFoundError says which keys are near."""
        request = GetAssetRequest(deployment=self._deployment, key=key)
        detail: AssetDetail = await self._call(self._stub.GetAsset, request)
        return detail

    async def list_asset_partitions(
        self, key: AssetKey, *, is_failed_only: bool = False, page_size: int = 0, page_token: str = ""
    ) -> ListAssetPartitionsPage:
        """Tell one page of an asset's partitions of which anything is known, by their keys."""
        request = ListAssetPartitionsRequest(
            deployment=self._deployment,
            key=key,
            is_failed_only=is_failed_only,
            page_size=page_size,
            page_token=page_token,
        )
        page: ListAssetPartitionsPage = await self._call(self._stub.ListAssetPartitions, request)
        return page

    async def list_asset_evaluations(self, query: ListAssetEvaluationsRequest) -> ListAssetEvaluationsPage:
        """Tell what was decided about an asset, newest first, each with its reason."""
        request = ListAssetEvaluationsRequest()
        request.CopyFrom(query)
        request.deployment = request.deployment or self._deployment
        page: ListAssetEvaluationsPage = await self._call(self._stub.ListAssetEvaluations, request)
        return page

    async def report_asset_event(self, report: ReportAssetEventRequest) -> AssetEventRef:
        """Tell what happened to an asset outside of runs, and return where that is found."""
        request = ReportAssetEventRequest()
        request.CopyFrom(report)
        request.deployment = request.deployment or self._deployment
        response: ReportAssetEventResponse = await self._call(self._stub.ReportAssetEvent, request)
        return response.event

    async def wipe_asset(
        self, key: AssetKey, *, partitions: Sequence[str] = (), why: str = "", requested_by: str = ""
    ) -> AssetWipe:
        """Forget what was told of an asset, or of some of its partitions; who wants it, and why, is kept."""
        request = WipeAssetRequest(
            deployment=self._deployment, key=key, partitions=partitions, why=why, requested_by=requested_by
        )
        wiped: AssetWipe = await self._call(self._stub.WipeAsset, request)
        return wiped

    async def list_asset_wipes(
        self, key: AssetKey | None = None, *, page_size: int = 0, before_id: int = 0
    ) -> ListAssetWipesPage:
        """Tell who wiped an asset, or any, newest first."""
        request = ListAssetWipesRequest(deployment=self._deployment, key=key, page_size=page_size, before_id=before_id)
        page: ListAssetWipesPage = await self._call(self._stub.ListAssetWipes, request)
        return page
