"""Reads from rows whether assets, and partitions of them, are stale: in a few statements, however many they are."""

from collections.abc import Collection, Mapping, Sequence

from isthmus.v1.telemetry_pb2 import Event
from isthmus_store import asset_state
from isthmus_store.fact import asset_text
from isthmus_store.transaction import Transaction

from isthmus_control_plane.catalog import staleness
from isthmus_control_plane.catalog.merging import Catalog
from isthmus_control_plane.catalog.needed import Place
from isthmus_control_plane.catalog.staleness import Known, Record, Staleness


async def judge(tx: Transaction, catalog: Catalog, wanted: Sequence[Place]) -> dict[Place, Staleness]:
    """Tell whether each of these is stale, and why.

    Unpartitioned assets, and partitions that need the same partition, all, or the last one of static partitions of what is above, are
    judged by rows. Of others it is said why only their code server can tell.
    """
    places = staleness.places_of(wanted, assets=catalog.assets)
    records = await _records(tx, catalog, places)
    older = staleness.pointers_of(records) - {it.id for it in records.values()}
    known = Known(assets=catalog.assets, records=records, inputs=await _inputs(tx, older, records=records))
    return {place: staleness.judge(place, known=known) for place in wanted}


async def _records(tx: Transaction, catalog: Catalog, places: Collection[Place]) -> dict[Place, Record]:
    """Return the newest event that tells of the data of each place."""
    rows = await asset_state.newest_at(
        tx, deployment=catalog.deployment, places=[(asset_text(path), partition) for path, partition in places]
    )
    ids: dict[Place, int] = {}
    for path, partition in places:
        it, row = catalog.assets.get(path), rows.get((asset_text(path), partition))
        if row is not None:
            number = row.observed_id if it is not None and it.asset.is_observable else row.materialized_id
            if number:
                ids[path, partition] = number
    by_id = await _by_ids(tx, set(ids.values()))
    return {place: by_id[number] for place, number in ids.items() if number in by_id}


async def _inputs(tx: Transaction, ids: Collection[int], *, records: Mapping[Place, Record]) -> dict[int, Record]:
    found = {it.id: it for it in records.values()}
    return found | await _by_ids(tx, ids)


async def _by_ids(tx: Transaction, ids: Collection[int]) -> dict[int, Record]:
    places = await asset_state.places(tx, ids)
    bodies = await asset_state.bodies(tx, ids)
    return {
        number: Record(number, places[number].occurred_at, _tags(body))
        for number, body in bodies.items()
        if number in places
    }


def _tags(body: bytes) -> dict[str, str]:
    event = Event.FromString(body)
    told = event.asset_observed if event.HasField("asset_observed") else event.asset_materialized
    return dict(told.tags)
