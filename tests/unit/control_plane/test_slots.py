"""Which steps get slots of pools."""

from datetime import UTC, datetime, timedelta

import pytest
from isthmus.v1.control_plane_pb2 import PoolLimits, QueueSettings
from isthmus_control_plane.dispatching.rules import Rules
from isthmus_control_plane.dispatching.slots import Pools, grantable
from isthmus_store.record.queue import SlotClaim

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def claim(name: str, *, pool: str = "db", priority: int = 0, at_s: float = 0, has_slot: bool = False) -> SlotClaim:
    """A claim of a step whose name is `run.step`."""
    run_id, _, step_key = name.partition(".")
    return SlotClaim(
        run_id=run_id,
        attempt=1,
        step_key=step_key,
        retry_number=0,
        deployment="prod",
        pool=pool,
        priority=priority,
        wanted_at=NOON + timedelta(seconds=at_s),
        room=2,
        granted_at=NOON if has_slot else None,
    )


def pools(default: int | None = None, **limits: int) -> Pools:
    return Pools(Rules.of(QueueSettings(pools=PoolLimits(default_limit=default, limits=limits))))


def names(chosen: list[SlotClaim]) -> list[str]:
    return [f"{it.run_id}.{it.step_key}" for it in chosen]


@pytest.mark.parametrize(
    ("claims", "stands", "expected"),
    [
        ([claim("b.x"), claim("a.x")], pools(db=1), ["a.x"]),
        ([claim("a.x", at_s=2), claim("b.x", at_s=1)], pools(db=1), ["b.x"]),
        ([claim("a.x"), claim("b.x", priority=1, at_s=9)], pools(db=1), ["b.x"]),
        ([claim("a.x", has_slot=True), claim("b.x", priority=9)], pools(db=1), []),
        ([claim("a.x", has_slot=True), claim("b.x"), claim("c.x")], pools(db=2), ["b.x"]),
        # A limit that was lowered takes nobody's slot.
        ([claim("a.x", has_slot=True), claim("b.x", has_slot=True), claim("c.x")], pools(db=1), []),
        ([claim("a.x")], pools(db=0), []),
        # A pool that nothing limits has room for all.
        ([claim("a.x"), claim("b.x")], pools(gpu=0), ["a.x", "b.x"]),
        ([claim("a.x"), claim("b.x"), claim("c.x", pool="gpu")], pools(1), ["a.x", "c.x"]),
        # A full pool holds up no other.
        ([claim("a.x", priority=5), claim("b.x", pool="gpu")], pools(db=0, gpu=1), ["b.x"]),
        # No more of a run than it can start.
        ([claim("a.x"), claim("a.y"), claim("a.z"), claim("b.x")], pools(db=9), ["a.x", "a.y", "b.x"]),
    ],
)
def test_slots_go_by_priority_and_time_as_far_as_there_are_any(
    claims: list[SlotClaim], stands: Pools, expected: list[str]
) -> None:
    assert names(grantable(claims, stands)) == expected
    assert names(grantable(claims[::-1], stands)) == expected


def test_runs_that_hold_slots_as_a_whole_count_and_what_is_paused_is_held() -> None:
    limits = pools(db=2).rules
    claims = [claim("a.x"), claim("b.x"), claim("c.x", pool="gpu")]
    assert names(grantable(claims, Pools(limits, whole_runs={"db": 1}))) == ["a.x", "c.x"]
    assert names(grantable(claims, Pools(limits, paused={"db"}))) == ["c.x"]
