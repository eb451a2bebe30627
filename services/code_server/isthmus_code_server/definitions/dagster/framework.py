"""Imports Dagster, without what only servers of its own need."""

import sys
from contextlib import suppress

from isthmus_code_server.definitions.dagster.deferral import Deferral, defer

_STORAGE = "dagster._core.storage"


def _interface(package: str, name: str) -> Deferral:
    """Leave out a package's implementations: importing its interface executes the package, which imports them all."""
    return Deferral(f"{_STORAGE}.{package}", handed_on={name: f"{_STORAGE}.{package}.base"})


#: More than a third of what Dagster's own run processes import: SQLAlchemy, Alembic, the daemon and what these import.
_UNUSED = (
    _interface("event_log", "EventLogStorage"),
    _interface("runs", "RunStorage"),
    _interface("schedules", "ScheduleStorage"),
    Deferral(f"{_STORAGE}.sql", meanings={"AlembicVersion": tuple[str | None, str | tuple[str, ...] | None]}),
    Deferral("dagster._daemon"),
    # Imported for a module in it that says what can be loaded.
    Deferral("dagster._utils.test"),
)


def import_framework() -> None:
    """Import what a project and its runs need of Dagster and of this package; a fault in it is left to the load to tell.

    A project that uses one of the modules left out has it as ever: it is imported then.
    """
    if "dagster" not in sys.modules:
        defer(_UNUSED)
    with suppress(Exception):
        import isthmus_code_server.definitions.dagster.adapter  # noqa: F401  # ours, and all that it imports

        _silence_telemetry()


def _silence_telemetry() -> None:
    """Let Dagster's reports about itself end where they begin: finding out that they are off imports its SQL storages."""
    from dagster._core import telemetry

    telemetry.log_action = _report_nothing


def _report_nothing(*_: object, **__: object) -> None:
    """Take the place of a report."""
