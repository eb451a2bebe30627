"""The beginning of a branch deployment's end: from then on nothing new begins in it."""

from datetime import datetime

from isthmus_store import backfills, branches, locations
from isthmus_store.record.backfill import BackfillDecision
from isthmus_store.record.branch import Branch
from isthmus_store.state import BackfillState
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane.fleet import world


async def begin_deletion(
    tx: WriteTransaction, branch: Branch, *, by: str, memory: world.SyncMemory, at: datetime
) -> bool:
    """Have a branch deleted, in a transaction that changes the fleet; returns whether that is new.

    Its locations go at once, so that nothing is launched any more, and its backfills make no more runs; those that are under way
    go on until they are ended.
    """
    if not await branches.begin_deletion(tx, branch.deployment, by=by, at=at):
        return False
    for it in await locations.all_of(tx, deployment=branch.deployment):
        await locations.remove(tx, deployment=branch.deployment, name=it.name, at=at)
    for backfill in await backfills.unfinished(tx):
        if backfill.deployment == branch.deployment:
            await backfills.set_state(tx, backfill.id, BackfillState.CANCELING, at=at)
            text = "Its end was asked for: its branch is deleted."
            await backfills.note(tx, backfill.id, BackfillDecision(at=at, text=text, runs=0))
    seen = await world.read(tx, memory=memory, at=at, deployment=branch.deployment)
    await world.settle_fleet(tx, seen, memory=memory, at=at)
    return True
