"""Where a run executes: what its tags, its location and its host say."""

import pytest
from isthmus_agent.dedicated.placement import Placement, merged, placement_of
from isthmus_agent.desired.container import Limits
from isthmus_agent.desired.location import Isolation
from isthmus_agent.policy.judge import Policy, judge_run
from isthmus_agent.policy.verdict import Allowed, Refused
from pydantic import ByteSize

SHARED, DEDICATED = Isolation.SHARED, Isolation.DEDICATED


@pytest.mark.parametrize(
    ("tags", "location", "host", "isolation"),
    [
        ({}, None, SHARED, SHARED),
        ({}, None, DEDICATED, DEDICATED),
        ({}, DEDICATED, SHARED, DEDICATED),
        ({}, SHARED, DEDICATED, SHARED),
        ({"isthmus/isolation": "dedicated"}, SHARED, SHARED, DEDICATED),
        ({"isthmus/isolation": "shared"}, DEDICATED, DEDICATED, SHARED),
        ({"dagster/isolation": "disabled"}, DEDICATED, DEDICATED, SHARED),
        ({"dagster/isolation": "enabled"}, SHARED, SHARED, DEDICATED),
        ({"dagster/isolation": "disabled", "isthmus/isolation": "dedicated"}, None, SHARED, DEDICATED),
        ({"team": "core"}, None, SHARED, SHARED),
    ],
)
def test_tags_win_over_the_location_and_that_over_the_host(
    *, tags: dict[str, str], location: Isolation | None, host: Isolation, isolation: Isolation
) -> None:
    assert placement_of(tags, location=location, host=host) == Placement(isolation, Limits())


@pytest.mark.parametrize(
    ("tags", "limits"),
    [
        ({"isthmus/memory": "512MB"}, Limits(memory_bytes=512_000_000)),
        ({"isthmus/memory": "1GiB"}, Limits(memory_bytes=2**30)),
        ({"isthmus/memory": "1.5 gib"}, Limits(memory_bytes=3 * 2**29)),
        ({"isthmus/memory": "10000000B"}, Limits(memory_bytes=10_000_000)),
        ({"isthmus/cpus": "0.5", "isthmus/pids": "200"}, Limits(cpus=0.5, pids=200)),
    ],
)
def test_limits_are_read_from_tags(tags: dict[str, str], limits: Limits) -> None:
    assert placement_of(tags, location=DEDICATED, host=SHARED) == Placement(DEDICATED, limits)


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("isthmus/isolation", "none"),
        ("isthmus/isolation", ""),
        ("dagster/isolation", "shared"),
        *(("isthmus/memory", value) for value in ("", "512", "lots", "-1GB", "0GB", "1e3MB", "512M", "9999999TB")),
        *(("isthmus/cpus", value) for value in ("", "two", "0", "-1", "inf", "nan")),
        *(("isthmus/pids", value) for value in ("", "1.5", "0", "-3", "many")),
        ("isthmus/image", "python:3.12"),
    ],
)
def test_a_tag_that_means_nothing_is_named(tag: str, value: str) -> None:
    faults = placement_of({tag: value}, location=DEDICATED, host=DEDICATED)
    assert isinstance(faults, tuple)
    assert [fault.tag for fault in faults] == [tag]
    assert all(fault.remedy for fault in faults)


def test_every_fault_is_told_at_once() -> None:
    faults = placement_of({"isthmus/cpus": "x", "isthmus/pids": "y"}, location=None, host=DEDICATED)
    assert isinstance(faults, tuple)
    assert [fault.tag for fault in faults] == ["isthmus/cpus", "isthmus/pids"]


def test_a_shared_run_cannot_have_limits_where_others_can() -> None:
    tags = {"isthmus/memory": "1GB", "dagster/isolation": "disabled"}
    faults = placement_of(tags, location=None, host=DEDICATED)
    assert isinstance(faults, tuple)
    assert [fault.tag for fault in faults] == ["isthmus/memory"]
    # On a host of processes nothing has limits, and what is written for containers runs all the same.
    assert placement_of(tags, location=None, host=SHARED) == Placement(SHARED, Limits(memory_bytes=10**9))


def test_a_run_asks_for_what_differs_from_its_location() -> None:
    location = Limits(memory_bytes=100, cpus=1, pids=10)
    assert merged(Limits(cpus=2), over=location) == Limits(memory_bytes=100, cpus=2, pids=10)
    assert merged(Limits(), over=location) == location


@pytest.mark.parametrize(
    ("policy", "rule"),
    [
        (Policy(), None),
        (Policy(isolation=(DEDICATED,)), None),
        (Policy(isolation=(SHARED,)), "isolation"),
        (Policy(isolation=()), "isolation"),
        (Policy(max_memory=ByteSize(99)), "max_memory"),
        (Policy(max_memory=ByteSize(100)), None),
        (Policy(max_cpus=1.5), "max_cpus"),
        (Policy(max_pids=9), "max_pids"),
    ],
)
def test_the_owner_has_the_last_word(policy: Policy, rule: str | None) -> None:
    verdict = judge_run(policy, limits=Limits(memory_bytes=100, cpus=2, pids=10), isolation=DEDICATED)
    assert (verdict.rule if isinstance(verdict, Refused) else None) == rule
    assert judge_run(Policy(max_pids=1), limits=Limits(), isolation=SHARED) == Allowed()
