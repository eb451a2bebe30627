"""Database addresses and the contract's numbers."""

import pytest
from isthmus.v1 import control_plane_pb2, telemetry_pb2
from isthmus_store import wire
from isthmus_store.address import parse_address
from isthmus_store.errors import UnsupportedDatabaseError
from isthmus_store.record.run import Violation
from isthmus_store.state import RunReason


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("sqlite:///data/isthmus.db", "sqlite+aiosqlite:///data/isthmus.db"),
        ("sqlite:////var/lib/isthmus.db", "sqlite+aiosqlite:////var/lib/isthmus.db"),
        ("sqlite+aiosqlite:///x.db", "sqlite+aiosqlite:///x.db"),
        ("postgresql://u:p%40w@host:5433/db", "postgresql+asyncpg://u:p%40w@host:5433/db"),
        ("postgres://host/db", "postgresql+asyncpg://host/db"),
        ("postgresql+asyncpg://host/db", "postgresql+asyncpg://host/db"),
    ],
)
def test_what_people_write_gets_an_async_driver(written: str, used: str) -> None:
    assert parse_address(written).render_as_string(hide_password=False) == used


@pytest.mark.parametrize(
    "address", ["mysql://host/db", "sqlite://", "sqlite:///:memory:", "postgresql+psycopg://host/db", "", "nonsense"]
)
def test_another_database_is_refused_with_what_to_use(address: str) -> None:
    with pytest.raises(UnsupportedDatabaseError, match="Use sqlite:///path"):
        parse_address(address)


def test_a_refused_address_is_not_quoted_whole() -> None:
    with pytest.raises(UnsupportedDatabaseError) as caught:
        parse_address("mysql://user:secret@host/db")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("ours", "theirs", "prefix"),
    [
        (wire.RUN_STATES, control_plane_pb2.RunState, "RUN_STATE_"),
        (wire.RUN_REASONS, telemetry_pb2.RunReason, "RUN_REASON_"),
        (wire.AGENT_STATES, control_plane_pb2.AgentState, "AGENT_STATE_"),
        (wire.LOCATION_PHASES, telemetry_pb2.LocationPhase, "LOCATION_PHASE_"),
        (wire.OUTCOMES, telemetry_pb2.InstructionResult.Outcome, "OUTCOME_"),
    ],
)
def test_every_member_of_the_contract_has_its_name_here(ours: object, theirs: object, prefix: str) -> None:
    assert isinstance(ours, wire.EnumMap)
    sentinel = object()
    for name, number in theirs.items():  # type: ignore[attr-defined]
        member = ours.from_wire(number, otherwise=sentinel)
        if member is sentinel:
            assert name == f"{prefix}UNSPECIFIED"
        else:
            assert f"{prefix}{member}" == name
            assert ours.to_wire(member) == number
    assert ours.from_wire(9999, otherwise=sentinel) is sentinel


def test_violations_travel_both_ways() -> None:
    violations = (Violation(field="a.b", description="c"),)
    assert wire.violations_from_wire(wire.violations_to_wire(violations)) == violations


def test_an_unknown_reason_becomes_what_the_caller_says() -> None:
    assert wire.RUN_REASONS.from_wire(1234, otherwise=RunReason.INTERNAL_ERROR) is RunReason.INTERNAL_ERROR
