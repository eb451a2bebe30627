"""Column types that mean the same on SQLite and PostgreSQL."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Dialect, Enum, Integer
from sqlalchemy.types import TypeDecorator, TypeEngine

from isthmus_store.record.agent import Standby
from isthmus_store.record.run import AttemptRef, Violation

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

#: A 64-bit key that SQLite also counts up by itself, which it does for INTEGER alone.
RowNumber: Final[TypeEngine[int]] = BigInteger().with_variant(Integer, "sqlite")


def to_microseconds(value: datetime) -> int:
    """Return the time as whole microseconds since 1970, exact; naive datetimes are a TypeError."""
    return (value - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """Return the aware UTC datetime of `to_microseconds`."""
    return _EPOCH + timedelta(microseconds=value)


class Instant(TypeDecorator[datetime]):
    """A moment in UTC as microseconds since 1970: sortable, exact, and free of either database's date handling."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """See class."""
        del dialect
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """See class."""
        del dialect
        return None if value is None else from_microseconds(value)


class Violations(TypeDecorator[tuple[Violation, ...]]):
    """A request's faults as a JSON list of [field, description]."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Iterable[Violation] | None, dialect: Dialect) -> list[list[str]]:
        """See class."""
        del dialect
        return [[violation.field, violation.description] for violation in value or ()]

    def process_result_value(self, value: Any | None, dialect: Dialect) -> tuple[Violation, ...]:
        """See class."""
        del dialect
        return tuple(Violation(field=field, description=description) for field, description in value or ())


class AttemptRefs(TypeDecorator[tuple[AttemptRef, ...]]):
    """Attempts as a JSON list of [run_id, attempt]."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Iterable[AttemptRef] | None, dialect: Dialect) -> list[list[str | int]]:
        """See class."""
        del dialect
        return [[ref.run_id, ref.attempt] for ref in value or ()]

    def process_result_value(self, value: Any | None, dialect: Dialect) -> tuple[AttemptRef, ...]:
        """See class."""
        del dialect
        return tuple(AttemptRef(run_id, attempt) for run_id, attempt in value or ())


class Standbys(TypeDecorator[tuple[Standby, ...]]):
    """Waiting servers as a JSON list of [location, ready, wanted, memory_bytes]."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Iterable[Standby] | None, dialect: Dialect) -> list[list[str | int]]:
        """See class."""
        del dialect
        return [[it.location, it.ready, it.wanted, it.memory_bytes] for it in value or ()]

    def process_result_value(self, value: Any | None, dialect: Dialect) -> tuple[Standby, ...]:
        """See class."""
        del dialect
        return tuple(Standby(*row) for row in value or ())


class Words(TypeDecorator[tuple[str, ...]]):
    """Some words as a JSON list; NULL is none."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> list[str]:
        """See class."""
        del dialect
        return list(value or ())

    def process_result_value(self, value: Any | None, dialect: Dialect) -> tuple[str, ...]:
        """See class."""
        del dialect
        return tuple(value or ())


def name_of(kind: type[StrEnum]) -> Enum:
    """Return a text column of the enum's names, without a constraint: a new member needs no migration."""
    return Enum(kind, native_enum=False, create_constraint=False, length=32)
