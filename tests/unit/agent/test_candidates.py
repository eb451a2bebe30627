"""What a location may be served by: whose trouble is whose, and what it falls back to."""

from pathlib import Path

import pytest
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_agent.desired.source import CodeSource, TargetKind
from isthmus_agent.errors import LocationRefusedError, LocationUnavailableError
from isthmus_agent.hosts.host import ServerSpec
from isthmus_agent.locations.candidates import Candidates
from isthmus_agent.locations.prospects import check_prospects
from isthmus_agent.policy.verdict import Allowed, Refused
from isthmus_agent.servers.trouble import Breakdown
from isthmus_agent.servers.wanted import KeeperTiming, WantedLocation

TIMING = KeeperTiming(restart_min_s=1, restart_max_s=8, reload_min_s=10, reload_max_s=40)
FAILURE = telemetry.Failure(error_class="ImportError", message="no module")
CRASH = Breakdown(FAILURE, is_load_failure=False, served_s=1.0)
FAILED_IMPORT = Breakdown(FAILURE, is_load_failure=True)
REFUSED = Refused("env_names", "it sets PATH")


def location(generation: int, *, standby: int = 0, is_allowed: bool = True) -> WantedLocation:
    source = CodeSource(TargetKind.PYTHON_FILE, "project.py", working_directory="project")
    spec = ServerSpec("test", "edge", "sales", generation, source, Path("runs"), "amqp://broker")
    return WantedLocation(spec, Allowed() if is_allowed else REFUSED, "", 60.0, standby=standby)


def name_of(candidates: Candidates) -> str:
    assert candidates.wanted is not None
    return candidates.wanted.name


def falls_back_to(candidates: Candidates) -> WantedLocation | None:
    return candidates.needed_fallback.location if candidates.needed_fallback is not None else None


def after_first() -> Candidates:
    """Generation 1 was loaded; generation 2 is wanted."""
    candidates = Candidates(TIMING)
    candidates.want(location(1))
    candidates.note_loaded(name_of(candidates))
    candidates.want(location(2))
    return candidates


def next_start_at(candidates: Candidates, *there: str, is_served: bool = False) -> float | None:
    return candidates.next_start_at(there=there, is_served=is_served)


def test_what_never_loaded_is_not_fallen_back_to() -> None:
    candidates = Candidates(TIMING)
    candidates.want(location(1))
    candidates.want(location(2))
    candidates.note_broken(name_of(candidates), FAILED_IMPORT, now=100)
    assert falls_back_to(candidates) is None
    assert candidates.may_serve


def test_a_failed_import_calls_for_what_was_loaded_before() -> None:
    candidates = after_first()
    assert falls_back_to(candidates) is None
    candidates.note_broken(name_of(candidates), FAILED_IMPORT, now=100)
    assert falls_back_to(candidates) == location(1)
    assert candidates.is_fallback_coming


def test_a_crash_calls_for_no_other_generation() -> None:
    candidates = after_first()
    candidates.note_broken(name_of(candidates), CRASH, now=100)
    assert falls_back_to(candidates) is None


def test_a_fallback_that_cannot_be_loaded_either_is_needed_but_not_hoped_for() -> None:
    candidates = after_first()
    assert candidates.fallback is not None
    candidates.note_broken(name_of(candidates), FAILED_IMPORT, now=100)
    candidates.note_broken(candidates.fallback.name, FAILED_IMPORT, now=100)
    assert falls_back_to(candidates) == location(1)
    assert not candidates.is_fallback_coming


def test_a_breakdown_of_the_fallback_puts_off_no_start_of_the_wanted() -> None:
    candidates = after_first()
    assert candidates.fallback is not None
    candidates.note_broken(candidates.fallback.name, CRASH, now=100)
    assert candidates.wanted is not None
    assert (candidates.wanted.trouble.last, candidates.wanted.trouble.may_start_at) == (None, 0)
    assert (candidates.fallback.trouble.last, candidates.fallback.trouble.may_start_at) == (CRASH, 101)


def test_a_breakdown_of_another_server_is_nobodys_trouble() -> None:
    candidates = after_first()
    candidates.note_broken("sales-g0", FAILED_IMPORT, now=100)
    assert candidates.wanted is not None
    assert candidates.wanted.trouble.last is None


def test_what_loads_is_mended_and_becomes_the_fallback_without_its_troubles() -> None:
    candidates = after_first()
    candidates.note_broken(name_of(candidates), FAILED_IMPORT, now=100)
    candidates.note_loaded(name_of(candidates))
    assert candidates.wanted is not None
    assert candidates.fallback is not None
    assert candidates.fallback.location == location(2)
    assert candidates.wanted.trouble.last is None
    # Only time shows whether it is mended for good: its next failure counts as the second.
    candidates.note_broken(name_of(candidates), FAILED_IMPORT, now=200)
    assert candidates.wanted.trouble.may_start_at == 220
    assert candidates.fallback.trouble.may_start_at == 0


def test_the_same_server_wanted_otherwise_keeps_its_troubles() -> None:
    candidates = Candidates(TIMING)
    assert candidates.want(location(1))
    candidates.note_loaded(name_of(candidates))
    candidates.note_broken(name_of(candidates), CRASH, now=100)
    assert not candidates.want(location(1, standby=2))
    assert candidates.wanted is not None
    assert candidates.wanted.trouble.last is CRASH
    # Dedicated servers are made as it is wanted now, not as it was when it loaded.
    assert candidates.made_from(name_of(candidates)) == location(1, standby=2)


def test_another_server_begins_without_troubles() -> None:
    candidates = after_first()
    candidates.note_broken(name_of(candidates), FAILED_IMPORT, now=100)
    assert candidates.want(location(3))
    assert candidates.wanted is not None
    assert candidates.wanted.trouble.last is None
    assert next_start_at(candidates) == 0


def test_what_is_wanted_no_more_keeps_its_generation_and_may_not_serve() -> None:
    candidates = after_first()
    assert candidates.want(None)
    assert candidates.want(None)
    assert (candidates.generation, candidates.may_serve) == (2, False)
    assert falls_back_to(candidates) is None
    assert next_start_at(candidates) is None


def test_a_refused_server_is_never_due_and_what_was_loaded_before_serves_on() -> None:
    candidates = after_first()
    candidates.want(location(3, is_allowed=False))
    assert candidates.fallback is not None
    assert candidates.is_fallback_coming
    assert candidates.may_serve
    assert next_start_at(candidates, candidates.fallback.name) is None
    candidates.note_loaded(name_of(candidates))
    assert candidates.fallback.location == location(1)


def test_a_refused_server_without_a_fallback_may_not_serve() -> None:
    candidates = Candidates(TIMING)
    candidates.want(location(1, is_allowed=False))
    assert not candidates.may_serve
    with pytest.raises(LocationRefusedError):
        check_prospects("sales", candidates, has_waited=False)


def test_the_next_start_is_the_earliest_of_those_that_are_not_there() -> None:
    candidates = after_first()
    assert candidates.fallback is not None
    wanted, fallback = name_of(candidates), candidates.fallback.name
    candidates.note_broken(wanted, FAILED_IMPORT, now=100)
    candidates.note_broken(fallback, CRASH, now=100)
    assert next_start_at(candidates) == 101
    assert next_start_at(candidates, fallback) == 110
    assert next_start_at(candidates, is_served=True) == 110
    assert next_start_at(candidates, wanted, fallback) is None


def test_a_start_waits_for_the_back_off_and_for_the_end_of_the_last_life() -> None:
    candidates = Candidates(TIMING)
    candidates.want(location(1))
    candidates.note_broken(name_of(candidates), CRASH, now=100)
    assert candidates.wanted is not None
    assert not candidates.wanted.view(now=100.5, ending=()).may_start
    assert candidates.wanted.view(now=101, ending=()).may_start
    assert not candidates.wanted.view(now=101, ending=(name_of(candidates),)).may_start


def test_waiting_makes_sense_while_the_fallback_comes_and_until_time_is_up() -> None:
    candidates = after_first()
    candidates.note_broken(name_of(candidates), FAILED_IMPORT, now=100)
    check_prospects("sales", candidates, has_waited=False)
    with pytest.raises(LocationUnavailableError, match="no module"):
        check_prospects("sales", candidates, has_waited=True)
    assert candidates.fallback is not None
    candidates.note_broken(candidates.fallback.name, FAILED_IMPORT, now=100)
    with pytest.raises(LocationUnavailableError, match="no module"):
        check_prospects("sales", candidates, has_waited=False)
