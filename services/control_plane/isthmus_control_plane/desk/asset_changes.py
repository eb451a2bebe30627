"""Changes what is known of assets on a person's behalf: events from outside of runs, and wipes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instance_pb2 import ReportAssetEvent
from isthmus.v1.telemetry_pb2 import CheckSeverity, Event
from isthmus_lifecycle.log import get_logger
from isthmus_store import asset_wipes, dynamic_partitions
from isthmus_store.asset_state import EventPlace
from isthmus_store.asset_wipes import AssetWipe, Subject, Wish
from isthmus_store.fact import asset_text
from isthmus_store.transaction import Transaction

from isthmus_control_plane import change, clock
from isthmus_control_plane.catalog.merging import CatalogMemory
from isthmus_control_plane.core import Core
from isthmus_control_plane.errors import InvalidRequestError, NotFoundError, Violation
from isthmus_control_plane.key import DEFAULT
from isthmus_control_plane.validation import asset_change as rules
from isthmus_control_plane.validation.definition import Asset
from isthmus_control_plane.validation.refusal import refuse

log = get_logger(__name__)

#: Events that one transaction forgets of an asset's past: all other writers wait meanwhile on SQLite.
_AT_ONCE: Final = 2_000
_DEFAULT_PAGE: Final = 50
_EVENTS: Final = {
    "materialized": "asset_materialized",
    "observed": "asset_observed",
    "check_evaluated": "asset_check_evaluated",
}


@dataclass(frozen=True, slots=True)
class WipePage:
    """Some wipes, and whether there are older ones."""

    wipes: Sequence[AssetWipe]
    has_more: bool


class AssetChangeDesk:
    """Takes in what happened to assets outside of runs, and forgets."""

    def __init__(self, core: Core, *, catalogs: CatalogMemory) -> None:
        self._core = core
        self._catalogs = catalogs

    async def report(self, request: api.ReportAssetEventRequest) -> EventPlace:
        """Store an event of an asset that belongs to no run.

        Raises:
            NotFoundError: No location knows the asset.
            InvalidRequestError: It has no such partition or check, or the event is too large to be kept.
        """
        refuse(rules.report(request))
        deployment, at = request.deployment or DEFAULT, clock.now()
        kind = request.WhichOneof("event") or ""
        async with self._core.database.write() as tx:
            asset = (await self._catalogs.of(tx, deployment)).get(getattr(request, kind).asset).asset
            refuse(rules.of_definition(request, asset=asset))
            await _check_dynamic(tx, deployment, request, asset=asset)
            event = _event(request, asset=asset)
            number = await change.asset_event(tx, deployment, ReportAssetEvent(event=event), at=at)
        log.info("asset_event_reported", deployment=deployment, kind=kind, id=number, by=request.requested_by)
        self._core.hub.assets_changed()
        return EventPlace(id=number, run_id="", position=0, occurred_at=at, outcome="")

    async def wipe(self, request: api.WipeAssetRequest) -> AssetWipe:
        """Forget what was told of an asset, or of some of its partitions.

        Raises:
            NotFoundError: No location knows the asset, and nothing is known of it.
        """
        refuse(rules.wipe(request))
        deployment = request.deployment or DEFAULT
        subject = Subject(
            deployment=deployment,
            asset=asset_text(request.key.path),
            partitions=tuple(sorted(set(request.partitions))),
        )
        async with self._core.database.read() as tx:
            await self._check_known(tx, request, subject=subject)
        cleared, part = 0, _AT_ONCE
        while part == _AT_ONCE:
            async with self._core.database.write() as tx:
                part = await asset_wipes.clear_past(tx, subject, rows=_AT_ONCE)
            cleared += part
        wish = Wish(by=request.requested_by, why=request.why, at=clock.now())
        async with self._core.database.write() as tx:
            wiped = await asset_wipes.wipe(tx, subject, wish, cleared=cleared)
        log.warning("asset_wiped", deployment=deployment, asset=subject.asset, events=wiped.events, by=wish.by)
        self._core.hub.assets_changed()
        return wiped

    async def wipes(self, request: api.ListAssetWipesRequest) -> WipePage:
        """Return who wiped what, newest first; also of assets that no location knows any more."""
        refuse(rules.list_wipes(request))
        size = request.page_size or _DEFAULT_PAGE
        query = asset_wipes.WipeQuery(
            deployment=request.deployment or DEFAULT,
            asset=asset_text(request.key.path) if request.HasField("key") else "",
            before_id=request.before_id,
            limit=size + 1,
        )
        async with self._core.database.read() as tx:
            found = await asset_wipes.page(tx, query)
        return WipePage(found[:size], has_more=len(found) > size)

    async def _check_known(self, tx: Transaction, request: api.WipeAssetRequest, *, subject: Subject) -> None:
        """Let only what is known be wiped; assets that left the code are, too, as long as anything was told of them."""
        try:
            (await self._catalogs.of(tx, subject.deployment)).get(request.key)
        except NotFoundError:
            if not await asset_wipes.is_known(tx, subject):
                raise


async def _check_dynamic(
    tx: Transaction, deployment: str, request: api.ReportAssetEventRequest, *, asset: Asset
) -> None:
    for name, key in rules.dynamic_keys(request, asset=asset).items():
        if not await dynamic_partitions.keys(tx, deployment=deployment, name=name, among=[key]):
            text = f"there is no key {key!r} of the dynamic partitions {name!r}: user code adds it first"
            raise InvalidRequestError([Violation(f"{request.WhichOneof('event')}.partition", text)])


def _event(request: api.ReportAssetEventRequest, *, asset: Asset) -> Event:
    kind = request.WhichOneof("event") or ""
    event = Event(message=f"Reported by {request.requested_by}." if request.requested_by else "")
    body = getattr(event, _EVENTS[kind])
    body.CopyFrom(getattr(request, kind))
    if kind == "check_evaluated":
        body.is_blocking = body.check_name in asset.blocking_checks
        body.severity = body.severity or CheckSeverity.CHECK_SEVERITY_ERROR
    return event


def partitions_of(it: AssetWipe) -> list[str]:
    """Return the partitions that were wiped; none where the asset was as a whole."""
    return list(json.loads(it.partitions))
