"""The client's calls about assets, for code without an event loop."""

from collections.abc import Sequence

from isthmus.v1.control_plane_pb2 import (
    AssetDetail,
    AssetEventRef,
    AssetWipe,
    ListAssetEvaluationsPage,
    ListAssetEvaluationsRequest,
    ListAssetPartitionsPage,
    ListAssetsPage,
    ListAssetsRequest,
    ListAssetWipesPage,
    ReportAssetEventRequest,
)
from isthmus.v1.telemetry_pb2 import AssetKey

from isthmus_client.blocking_calls import BlockingCalls


class BlockingCatalogCalls(BlockingCalls):
    """What a client asks of the assets of all locations; each method returns when it is done."""

    def list_assets(self, query: ListAssetsRequest | None = None) -> ListAssetsPage:
        """Tell one page of the assets that a query asks for, by their keys; all without one."""
        return self._wait(self._client.list_assets(query))

    def get_asset(self, key: AssetKey) -> AssetDetail:
        """Tell one asset whole; NotFoundError says which keys are near."""
        return self._wait(self._client.get_asset(key))

    def list_asset_partitions(
        self, key: AssetKey, *, is_failed_only: bool = False, page_size: int = 0, page_token: str = ""
    ) -> ListAssetPartitionsPage:
        """Tell one page of an asset's partitions of which anything is known, by their keys."""
        asked = self._client.list_asset_partitions(
            key, is_failed_only=is_failed_only, page_size=page_size, page_token=page_token
        )
        return self._wait(asked)

    def list_asset_evaluations(self, query: ListAssetEvaluationsRequest) -> ListAssetEvaluationsPage:
        """Tell what was decided about an asset, newest first, each with its reason."""
        return self._wait(self._client.list_asset_evaluations(query))

    def report_asset_event(self, report: ReportAssetEventRequest) -> AssetEventRef:
        """Tell what happened to an asset outside of runs, and return where that is found."""
        return self._wait(self._client.report_asset_event(report))

    def wipe_asset(
        self, key: AssetKey, *, partitions: Sequence[str] = (), why: str = "", requested_by: str = ""
    ) -> AssetWipe:
        """Forget what was told of an asset, or of some of its partitions; who wants it, and why, is kept."""
        return self._wait(self._client.wipe_asset(key, partitions=partitions, why=why, requested_by=requested_by))

    def list_asset_wipes(
        self, key: AssetKey | None = None, *, page_size: int = 0, before_id: int = 0
    ) -> ListAssetWipesPage:
        """Tell who wiped an asset, or any, newest first."""
        return self._wait(self._client.list_asset_wipes(key, page_size=page_size, before_id=before_id))
