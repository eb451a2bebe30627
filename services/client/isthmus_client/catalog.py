"""The client's calls about assets."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from isthmus.v1.control_plane_pb2 import (
    AssetDetail,
    GetAssetRequest,
    ListAssetEvaluationsPage,
    ListAssetEvaluationsRequest,
    ListAssetPartitionsPage,
    ListAssetPartitionsRequest,
    ListAssetsPage,
    ListAssetsRequest,
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
