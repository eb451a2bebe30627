"""What user code changes besides runs, by a question to its instance or by a tick: each in the transaction of its cause."""

from datetime import datetime
from typing import Final

from isthmus.v1 import instance_pb2 as pb
from isthmus_store import dynamic_partitions, event_index, run_search, runs
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane.errors import InvalidRequestError, NotFoundError, Violation

#: What may be told of an asset without a run.
_RUNLESS_KINDS: Final = frozenset({"asset_materialized", "asset_observed", "asset_check_evaluated"})
#: The largest event of that sort, bytes: it is kept whole with the state of its asset.
MAX_RUNLESS_BYTES: Final = 1024 * 1024


async def partitions(
    tx: WriteTransaction, deployment: str, change: pb.ChangeDynamicPartitions, *, at: datetime
) -> None:
    """Add and delete keys of dynamic partitions."""
    await dynamic_partitions.remove(tx, list(change.deleted), deployment=deployment, name=change.name)
    await dynamic_partitions.add(tx, change.added, deployment=deployment, name=change.name, at=at)


async def run_tags(tx: WriteTransaction, deployment: str, change: pb.AddRunTags, *, at: datetime) -> None:
    """Put tags on a run of the deployment.

    Raises:
        NotFoundError: There is no such run.
    """
    del at
    run = await runs.get(tx, change.run_id)
    if run is None or run.deployment != deployment:
        raise NotFoundError("run", name=change.run_id, deployment=deployment)
    await run_search.add_tags(tx, change.run_id, change.tags)


async def asset_event(tx: WriteTransaction, deployment: str, change: pb.ReportAssetEvent, *, at: datetime) -> int:
    """Store an event of an asset that belongs to no run, and return its id.

    Raises:
        InvalidRequestError: It is none, or too large to be kept.
    """
    event = change.event
    event.ClearField("run")
    event.seq = 0
    event.occurred_at.FromDatetime(at)
    if event.WhichOneof("body") not in _RUNLESS_KINDS:
        raise InvalidRequestError([Violation("event", "is none of an asset: materialized, observed or checked")])
    if event.ByteSize() > MAX_RUNLESS_BYTES:
        text = f"has {event.ByteSize()} bytes of {MAX_RUNLESS_BYTES}: shorten its metadata"
        raise InvalidRequestError([Violation("event", text)])
    number = await event_index.add_runless(tx, event, deployment=deployment, at=at)
    if number is None:
        raise InvalidRequestError([Violation("event", "names an asset, partition or check that is too long")])
    return number
