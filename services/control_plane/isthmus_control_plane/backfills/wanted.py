"""Backfills that schedules, sensors and automation conditions ask for: written with the tick that wants them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from isthmus.v1.control_plane_pb2 import CreateBackfillRequest
from isthmus.v1.telemetry_pb2 import AssetSubset
from isthmus_store import backfills
from isthmus_store.record.backfill import BackfillDecision
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane.automation.effects import WantedBackfill
from isthmus_control_plane.backfills.making import new_backfill
from isthmus_control_plane.backfills.planner import Defined, Planner, aside, check_size
from isthmus_control_plane.backfills.planning import chosen
from isthmus_control_plane.backfills.target import KeysOf, Plan, of_places
from isthmus_control_plane.errors import ConflictError, Violation
from isthmus_control_plane.validation.definition import AssetPath
from isthmus_control_plane.validation.merged import CatalogAsset
from isthmus_control_plane.validation.refusal import refuse
from isthmus_control_plane.validation.suggestion import unknown


class TickBackfills:
    """Makes the backfills of ticks."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner

    async def make(self, tx: WriteTransaction, wanted: WantedBackfill, *, at: datetime) -> None:
        """Write a backfill, as a part of a transaction that says more.

        Raises:
            ControlPlaneError: It cannot be made; nothing was written.
        """
        defined = await self._planner.defined(tx, wanted.deployment)
        selected = _selected(wanted.assets, known=defined.assets)
        told = [it.asset.partitions_told for it in selected.values()]
        keys_of = await self._planner.counted(tx, told, deployment=wanted.deployment, at=at)
        plan = await aside(partial(_plan, wanted.assets, selected=selected, defined=defined, keys_of=keys_of))
        check_size(plan)
        request = CreateBackfillRequest(
            deployment=wanted.deployment,
            backfill_id=wanted.backfill_id,
            tags=wanted.tags,
            requested_by=wanted.requested_by,
        )
        made = await backfills.create(tx, new_backfill(request, plan=plan, at=at))
        if made is None:
            raise ConflictError("backfill", name=wanted.backfill_id, why="its id is taken.")
        text = f"Asked for by {wanted.requested_by}."
        await backfills.note(tx, made.id, BackfillDecision(at=at, text=text, runs=len(plan.runs)))


def _plan(
    assets: Sequence[AssetSubset],
    *,
    selected: Mapping[AssetPath, CatalogAsset],
    defined: Defined,
    keys_of: KeysOf,
) -> Plan:
    places = _places(assets, selected=selected, keys_of=keys_of)
    return of_places(selected, places=places, locations=defined.locations, keys_of=keys_of)


def _selected(
    assets: Sequence[AssetSubset], *, known: Mapping[AssetPath, CatalogAsset]
) -> dict[AssetPath, CatalogAsset]:
    names = ["/".join(path) for path in known]
    refuse(
        [
            Violation(f"backfill.assets[{index}]", unknown("asset", name="/".join(it.asset.path), known=names))
            for index, it in enumerate(assets)
            if tuple(it.asset.path) not in known
        ]
    )
    return {path: known[path] for it in assets if (path := tuple(it.asset.path))}


def _places(
    assets: Sequence[AssetSubset], *, selected: Mapping[AssetPath, CatalogAsset], keys_of: KeysOf
) -> dict[AssetPath, tuple[int, ...] | None]:
    """Return the places of the partitions that are wanted; None for assets that have none."""
    found: dict[AssetPath, tuple[int, ...] | None] = {}
    violations: list[Violation] = []
    for index, it in enumerate(assets):
        path = tuple(it.asset.path)
        told = selected[path].asset.partitions_told
        if told is None:
            found[path] = None
            continue
        places, faults = chosen(CreateBackfillRequest(ranges=it.ranges), keys=keys_of(told))
        found[path] = tuple(places)
        violations += [Violation(f"backfill.assets[{index}].{fault.field}", fault.description) for fault in faults]
    refuse(violations)
    return found
