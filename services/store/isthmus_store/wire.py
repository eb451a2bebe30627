"""The store's closed sets as the contract's numbers, and back."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final, Generic, Protocol, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1 import control_plane_pb2, telemetry_pb2
from isthmus_broker.bounds import MAX_MOMENT_S, MIN_MOMENT_S

from isthmus_store.column import from_microseconds
from isthmus_store.record.run import AttemptRef, Violation
from isthmus_store.state import AgentState, InstructionOutcome, LocationPhase, RunReason, RunState, TickStatus

_E = TypeVar("_E", bound=StrEnum)

_NANOS_PER_SECOND: Final = 1_000_000_000
#: More than any run's id has, characters: a longer one that is cut names no run.
_RUN_ID_LENGTH: Final = 64


class _WireEnum(Protocol):
    def Value(self, name: str) -> int: ...  # noqa: N802 - protobuf's name


class EnumMap(Generic[_E]):
    """Maps one closed set to its enum in the contract and back, by name."""

    def __init__(self, kind: type[_E], *, wire: _WireEnum, prefix: str) -> None:
        self._to_wire = {member: int(wire.Value(f"{prefix}_{member}")) for member in kind}
        self._from_wire = {number: member for member, number in self._to_wire.items()}

    def to_wire(self, member: _E) -> int:
        """Return the contract's number."""
        return self._to_wire[member]

    def from_wire(self, number: int, *, otherwise: _E) -> _E:
        """Return the member of a number; `otherwise` for one that only a newer release knows."""
        return self._from_wire.get(number, otherwise)


RUN_STATES = EnumMap(RunState, wire=control_plane_pb2.RunState, prefix="RUN_STATE")
RUN_REASONS = EnumMap(RunReason, wire=telemetry_pb2.RunReason, prefix="RUN_REASON")
AGENT_STATES = EnumMap(AgentState, wire=control_plane_pb2.AgentState, prefix="AGENT_STATE")
LOCATION_PHASES = EnumMap(LocationPhase, wire=telemetry_pb2.LocationPhase, prefix="LOCATION_PHASE")
TICK_STATUSES = EnumMap(TickStatus, wire=control_plane_pb2.TickStatus, prefix="TICK_STATUS")
OUTCOMES = EnumMap(InstructionOutcome, wire=telemetry_pb2.InstructionResult.Outcome, prefix="OUTCOME")


def violations_from_wire(violations: Iterable[telemetry_pb2.FieldViolation]) -> tuple[Violation, ...]:
    """Return the faults as the store keeps them."""
    return tuple(Violation(field=storable(it.field), description=storable(it.description)) for it in violations)


def violations_to_wire(violations: Iterable[Violation]) -> list[telemetry_pb2.FieldViolation]:
    """Return the faults as messages."""
    return [telemetry_pb2.FieldViolation(field=it.field, description=it.description) for it in violations]


def attempts_from_wire(refs: Iterable[telemetry_pb2.RunRef]) -> tuple[AttemptRef, ...]:
    """Return the attempts as the store keeps them."""
    return tuple(AttemptRef(storable(ref.run_id[:_RUN_ID_LENGTH]), ref.attempt) for ref in refs)


def moment(stamp: Timestamp) -> datetime:
    """Return the time, to the microsecond; 1970 for one that no calendar knows, or with too little room beside it."""
    seconds, nanos = stamp.seconds, stamp.nanos
    if MIN_MOMENT_S <= seconds <= MAX_MOMENT_S and 0 <= nanos < _NANOS_PER_SECOND:
        return from_microseconds(seconds * 1_000_000 + nanos // 1_000)
    return from_microseconds(0)


def stamp(at: datetime) -> Timestamp:
    """Return a time as the contract has it."""
    message = Timestamp()
    message.FromDatetime(at)
    return message


def storable(text: str) -> str:
    """Return the text without NUL, which PostgreSQL's text cannot hold."""
    return text.replace("\x00", "\ufffd") if "\x00" in text else text
