"""Why steps of a run that is under way wait for slots of pools."""

from collections.abc import Sequence

from isthmus_store import runs, slot_claims
from isthmus_store.record.queue import PauseKind, SlotClaim
from isthmus_store.record.run import Run
from isthmus_store.transaction import Transaction

from isthmus_control_plane.desk.reason import MOST_HOLDERS, Holder, Reason
from isthmus_control_plane.dispatching import slots
from isthmus_control_plane.dispatching.block import Block, Cause
from isthmus_control_plane.dispatching.rules import Slot
from isthmus_control_plane.dispatching.slots import Pools


async def step_reasons(tx: Transaction, run: Run) -> list[Reason]:
    """Return what the steps of a run wait for, in the order in which they asked."""
    claims = await slot_claims.live(tx, run.deployment)
    waiting = [it for it in claims if it.run_id == run.run_id and it.granted_at is None]
    if not waiting:
        return []
    pools = await slots.read_pools(tx, run.deployment)
    return [await _reason(tx, claim, claims=claims, pools=pools) for claim in waiting]


async def slot_holders(tx: Transaction, slot: Slot) -> list[Holder]:
    """Return some of those who have slots of a pool of steps."""
    claims = await slot_claims.live(tx, slot.deployment)
    held = [it for it in claims if it.pool == slot.name and it.granted_at is not None]
    return await _holders(tx, held, whole_of=slot, most=MOST_HOLDERS)


async def _reason(tx: Transaction, claim: SlotClaim, *, claims: Sequence[SlotClaim], pools: Pools) -> Reason:
    held = [it for it in claims if it.pool == claim.pool and it.granted_at is not None]
    taken, most = len(held) + pools.whole_runs.get(claim.pool, 0), pools.rules.most_of_pool(claim.pool)
    slot, step = Slot(claim.deployment, "pool", claim.pool), f"step {claim.step_key}"
    if claim.pool in pools.paused:
        remedy = f"isthmus queue resume {PauseKind.POOL.value.lower()} {claim.pool}"
        return Reason(Block(Cause.PAUSE, f"{step} waits: {slot} was paused", remedy=remedy), step_key=claim.step_key)
    if most is None or taken < most:
        text = f"{step} has a turn for {slot} once its run can start it"
        return Reason(Block(Cause.ORDER, text), step_key=claim.step_key)
    block = Block(
        Cause.POOL,
        f"{step} waits for {slot}: {taken} of {most} slots are taken",
        remedy="wait until one of them is through, or raise the limit: isthmus queue set FILE",
        slot=slot,
        taken=taken,
        most=most,
    )
    return Reason(block, await _holders(tx, held, whole_of=slot, most=MOST_HOLDERS), step_key=claim.step_key)


async def _holders(tx: Transaction, held: Sequence[SlotClaim], *, whole_of: Slot, most: int) -> list[Holder]:
    """Return who has slots of a pool, the longest first: steps, and then runs that have one as a whole."""
    first = sorted(held, key=lambda it: (it.granted_at, it.run_id))[:most]
    known = await runs.get_many(tx, [it.run_id for it in first])
    found = [Holder(known[it.run_id], it.granted_at, it.step_key) for it in first if it.run_id in known]
    whole = await slot_claims.whole_holders(tx, whole_of.deployment, pool=whole_of.name)
    return [*found, *(Holder(run, run.dispatched_at) for run in whole)][:most]
