"""The questions that change something: made once per id, in one transaction."""

from datetime import datetime

from isthmus.v1 import instance_pb2 as pb
from isthmus_store import dynamic_partitions, run_search, runs
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane.errors import NotFoundError


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
