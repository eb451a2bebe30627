"""Leases and silence, by an injected clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_monitor.lease import Expiry, LeaseTable, Patience, Verdict
from isthmus_store.record.run import AttemptRef

LAB, BARN = ("prod", "lab"), ("prod", "barn")
RUN, OTHER = AttemptRef("r1", 1), AttemptRef("r2", 1)


@pytest.fixture
def table() -> LeaseTable:
    leases = LeaseTable(Patience(lease_ttl_s=30, agent_lost_after_s=30, agent_gone_after_s=900))
    leases.expect(LAB, now=0)
    leases.grant(RUN, agent=LAB, now=0)
    return leases


def beat(leases: LeaseTable, *, until: int, agent: tuple[str, str] = LAB, start: int = 5) -> None:
    for now in range(start, until + 1, 5):
        leases.hear(agent, now=now)


def test_a_run_nobody_vouches_for_is_lost_when_its_agent_is_heard(table: LeaseTable) -> None:
    beat(table, until=25)
    assert table.expired(now=29.9) == []
    beat(table, until=30)
    assert table.expired(now=30) == [Expiry(RUN, LAB, Verdict.WORKER_LOST)]


def test_vouching_renews(table: LeaseTable) -> None:
    for now in range(5, 200, 5):
        table.hear(LAB, now=now)
        table.renew(RUN, now=now)
        assert table.expired(now=now) == []


def test_vouching_for_an_unknown_attempt_grants_nothing(table: LeaseTable) -> None:
    table.renew(OTHER, now=1)
    assert OTHER not in table
    assert len(table) == 1


def test_a_silent_agent_s_run_is_given_up_much_later(table: LeaseTable) -> None:
    assert table.silent(now=29) == []
    assert table.silent(now=30) == [LAB]
    assert table.expired(now=899) == []
    assert table.expired(now=900) == [Expiry(RUN, LAB, Verdict.AGENT_GONE)]


def test_a_code_server_that_vouches_keeps_a_silent_agent_s_run(table: LeaseTable) -> None:
    for now in range(5, 2_000, 5):
        table.renew(RUN, now=now)
        assert table.expired(now=now) == []


def test_a_stopped_agent_s_run_lives_while_its_code_server_vouches(table: LeaseTable) -> None:
    table.forget(LAB)
    table.renew(RUN, now=100)
    assert table.silent(now=2_000) == []
    assert table.expired(now=999) == []
    assert table.expired(now=1_000) == [Expiry(RUN, LAB, Verdict.AGENT_GONE)]


def test_an_agent_that_comes_back_gets_time_to_tell_what_happened(table: LeaseTable) -> None:
    beat(table, start=600, until=625)
    assert table.expired(now=629) == []
    table.hear(LAB, now=630)
    assert [expiry.verdict for expiry in table.expired(now=630)] == [Verdict.WORKER_LOST]


def test_what_was_vouched_for_is_noted_once(table: LeaseTable) -> None:
    assert table.take_noteworthy() == []
    table.renew(RUN, now=5)
    table.renew(OTHER, now=5)
    assert table.take_noteworthy() == [RUN]
    assert table.take_noteworthy() == []


def test_deaf_time_counts_for_nobody(table: LeaseTable) -> None:
    table.restart(now=5_000)
    assert table.expired(now=5_000) == []
    assert table.silent(now=5_029) == []
    assert table.expired(now=5_899) == []
    assert table.expired(now=5_900) == [Expiry(RUN, LAB, Verdict.AGENT_GONE)]


def test_a_released_attempt_is_forgotten(table: LeaseTable) -> None:
    table.release(RUN)
    table.release(RUN)
    beat(table, until=100)
    assert table.expired(now=100) == []


def test_only_the_agent_s_own_runs_are_judged_by_it(table: LeaseTable) -> None:
    table.grant(OTHER, agent=BARN, now=0)
    beat(table, until=60)
    assert [expiry.ref for expiry in table.expired(now=60)] == [RUN]


@given(st.lists(st.tuples(st.sampled_from(["hear", "renew", "restart", "look"]), st.floats(0.1, 40)), max_size=40))
def test_nothing_expires_within_the_lease_after_any_sign_of_life(steps: list[tuple[str, float]]) -> None:
    leases = LeaseTable(Patience(lease_ttl_s=30, agent_lost_after_s=30, agent_gone_after_s=900))
    leases.grant(RUN, agent=LAB, now=0.0)
    now = signed_at = 0.0
    for action, after in steps:
        now += after
        if action == "hear":
            leases.hear(LAB, now=now)
        elif action == "renew":
            leases.renew(RUN, now=now)
            signed_at = now
        elif action == "restart":
            leases.restart(now=now)
            signed_at = now
        elif now - signed_at < 30:
            assert leases.expired(now=now) == []
