"""Which steps get slots of pools: the policy, pure, and how it is carried out in a transaction.

Larger priorities go first, and among equal ones who claimed first. A claim that cannot be granted holds up those behind it
in its own pool, and in no other.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime

from isthmus_store import pauses, slot_claims
from isthmus_store.record.queue import PauseKind, SlotClaim
from isthmus_store.record.run import AttemptRef
from isthmus_store.transaction import Transaction, WriteTransaction

from isthmus_control_plane.dispatching.ledger import read_rules
from isthmus_control_plane.dispatching.rules import NO_RULES, Rules


@dataclass(frozen=True, slots=True)
class Pools:
    """How the pools of a deployment stand."""

    rules: Rules = NO_RULES
    #: Runs that hold a slot of a pool as a whole.
    whole_runs: Mapping[str, int] = field(default_factory=dict)
    paused: AbstractSet[str] = frozenset()


def grantable(claims: Iterable[SlotClaim], pools: Pools) -> list[SlotClaim]:
    """Choose the claims that get slots now, in the order in which they get them.

    Args:
        claims: All claims that count: those that have slots, and those that wait.
        pools: Limits, and what else takes slots.
    """
    taken, room = Counter(pools.whole_runs), dict[AttemptRef, int]()
    waiting = []
    for claim in claims:
        if claim.granted_at is not None:
            taken[claim.pool] += 1
        else:
            waiting.append(claim)
            room[attempt_of(claim)] = min(claim.room, room.get(attempt_of(claim), claim.room))
    chosen = []
    for claim in sorted(waiting, key=_order):
        most, attempt = pools.rules.most_of_pool(claim.pool), attempt_of(claim)
        is_free = most is None or taken[claim.pool] < most
        if is_free and room[attempt] > 0 and claim.pool not in pools.paused:
            taken[claim.pool] += 1
            room[attempt] -= 1
            chosen.append(claim)
    return chosen


async def read_pools(tx: Transaction, deployment: str) -> Pools:
    """Read how the pools of a deployment stand, but for the claims."""
    rules = await read_rules(tx, deployments=[deployment])
    paused = await pauses.all_of(tx, deployments=[deployment])
    return Pools(
        rules=rules.get(deployment, NO_RULES),
        whole_runs=await slot_claims.whole_runs(tx, deployment),
        paused={it.name for it in paused if it.kind is PauseKind.POOL},
    )


async def look(tx: Transaction, deployment: str) -> list[SlotClaim]:
    """Return the claims of a deployment that could be granted now."""
    return grantable(await slot_claims.live(tx, deployment), await read_pools(tx, deployment))


async def grant(tx: WriteTransaction, deployment: str, *, at: datetime) -> list[SlotClaim]:
    """Grant all claims of a deployment that can be granted now; whoever calls holds the lock."""
    await slot_claims.sweep(tx)
    chosen = await look(tx, deployment)
    await slot_claims.grant(tx, chosen, at=at)
    return chosen


def attempt_of(claim: SlotClaim) -> AttemptRef:
    """Return the attempt whose step claims."""
    return AttemptRef(claim.run_id, claim.attempt)


def _order(claim: SlotClaim) -> tuple[int, datetime, str, str]:
    return -claim.priority, claim.wanted_at, claim.run_id, claim.step_key
