"""The client's calls about assets."""

from collections.abc import Sequence

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
    WipeAssetRequest,
)
from isthmus.v1.telemetry_pb2 import AssetKey

from isthmus_client.calls import Calls


class CatalogCalls(Calls):
    """What a client asks of the assets of all locations."""

    async def list_assets(self, query: ListAssetsRequest | None = None) -> ListAssetsPage:
        """Tell one page of the assets that a query asks for, by their keys; all without one."""
        return await self._call(self._stub.ListAssets, self._meant(query or ListAssetsRequest()))

    async def get_asset(self, key: AssetKey) -> AssetDetail:
        """Tell one asset whole; NotFoundError says which keys are near."""
        request = GetAssetRequest(deployment=self._deployment, key=key)
        return await self._call(self._stub.GetAsset, request)

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
        return await self._call(self._stub.ListAssetPartitions, request)

    async def list_asset_evaluations(self, query: ListAssetEvaluationsRequest) -> ListAssetEvaluationsPage:
        """Tell what was decided about an asset, newest first, each with its reason."""
        return await self._call(self._stub.ListAssetEvaluations, self._meant(query))

    async def report_asset_event(self, report: ReportAssetEventRequest) -> AssetEventRef:
        """Tell what happened to an asset outside of runs, and return where that is found."""
        return (await self._call(self._stub.ReportAssetEvent, self._meant(report))).event

    async def wipe_asset(
        self, key: AssetKey, *, partitions: Sequence[str] = (), why: str = "", requested_by: str = ""
    ) -> AssetWipe:
        """Forget what was told of an asset, or of some of its partitions; who wants it, and why, is kept."""
        request = WipeAssetRequest(
            deployment=self._deployment, key=key, partitions=partitions, why=why, requested_by=requested_by
        )
        return await self._call(self._stub.WipeAsset, request)

    async def list_asset_wipes(
        self, key: AssetKey | None = None, *, page_size: int = 0, before_id: int = 0
    ) -> ListAssetWipesPage:
        """Tell who wiped an asset, or any, newest first."""
        request = ListAssetWipesRequest(deployment=self._deployment, key=key, page_size=page_size, before_id=before_id)
        return await self._call(self._stub.ListAssetWipes, request)
