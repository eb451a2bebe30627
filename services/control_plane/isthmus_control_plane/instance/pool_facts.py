"""How pools stand, for user code that asks its instance."""

from collections.abc import Iterable, Mapping

from isthmus.v1 import instance_pb2 as pb
from isthmus_store import slot_claims
from isthmus_store.queue_line import priority_of
from isthmus_store.record.queue import SlotClaim
from isthmus_store.record.run import Run
from isthmus_store.runs import tags as tags_of
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.dispatching.ledger import read_rules
from isthmus_control_plane.dispatching.rules import NO_RULES, Rules


async def pools(tx: Transaction, deployment: str, query: pb.PoolsQuery) -> pb.PoolFacts:
    """Tell limits, and who has slots or waits for them."""
    rules = (await read_rules(tx, deployments=[deployment])).get(deployment, NO_RULES)
    claims, whole = await slot_claims.live(tx, deployment), await slot_claims.holders(tx, deployment)
    tags = await tags_of(tx, [run.run_id for run in whole]) if whole else {}
    slots: dict[str, list[pb.PoolSlot]] = {name: [] for name in (query.pools or rules.pools)}
    for pool, slot in (*map(_of_step, claims), *_of_runs(whole, tags=tags)):
        if not query.pools or pool in slots:
            slots.setdefault(pool, []).append(slot)
    facts = pb.PoolFacts(
        pools=[_fact(name, found, rules=rules) for name, found in sorted(slots.items())],
        is_of_steps=rules.are_pools_of_steps,
        run_buffer=rules.run_buffer,
    )
    if rules.default_pool is not None:
        facts.default_limit = rules.default_pool
    return facts


def _fact(name: str, slots: Iterable[pb.PoolSlot], *, rules: Rules) -> pb.PoolFact:
    most = rules.most_of_pool(name)
    return pb.PoolFact(
        pool=name, limit=most, is_default_limit=name not in rules.pools and most is not None, slots=slots
    )


def _of_step(claim: SlotClaim) -> tuple[str, pb.PoolSlot]:
    granted_at = clock.stamp(claim.granted_at) if claim.granted_at is not None else None
    slot = pb.PoolSlot(
        run_id=claim.run_id,
        step_key=claim.step_key,
        priority=claim.priority,
        wanted_at=clock.stamp(claim.wanted_at),
        granted_at=granted_at,
    )
    return claim.pool, slot


def _of_runs(runs: Iterable[Run], *, tags: Mapping[str, Mapping[str, str]]) -> Iterable[tuple[str, pb.PoolSlot]]:
    for run in runs:
        slot = pb.PoolSlot(
            run_id=run.run_id,
            priority=max(-(2**31), min(priority_of(tags.get(run.run_id, {})), 2**31 - 1)),
            wanted_at=clock.stamp(run.queued_at),
            granted_at=clock.stamp(run.dispatched_at or run.queued_at),
        )
        yield from ((pool, slot) for pool in run.pools)
