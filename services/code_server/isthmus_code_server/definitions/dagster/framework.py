"""Imports Dagster, without what only servers of its own need."""

import importlib
import sys
from pathlib import Path

from isthmus_code_server.definitions.dagster.loaded.deferral import Deferral, defer
from isthmus_code_server.definitions.dagster.loading import load_definitions
from isthmus_code_server.definitions.dagster.values.failure import failure_from_plain_exception
from isthmus_code_server.definitions.port import Definitions, LoadDefinitions
from isthmus_code_server.definitions.source import DefinitionsSource
from isthmus_code_server.errors import DefinitionsLoadError

_STORAGE = "dagster._core.storage"


def _interface(package: str, name: str) -> Deferral:
    """Leave out a package's implementations: importing its interface executes the package, which imports them all."""
    return Deferral(module=f"{_STORAGE}.{package}", handed_on={name: f"{_STORAGE}.{package}.base"})


#: What takes more than a third of the time that importing Dagster for a run takes: SQLAlchemy, Alembic, the daemon and what
#: these import.
_UNUSED = (
    _interface("event_log", "EventLogStorage"),
    _interface("runs", "RunStorage"),
    _interface("schedules", "ScheduleStorage"),
    Deferral(module=f"{_STORAGE}.sql", meanings={"AlembicVersion": tuple[str | None, str | tuple[str, ...] | None]}),
    Deferral(module="dagster._daemon"),
    # Imported for a module in it that says what can be loaded.
    Deferral(module="dagster._utils.test"),
)

#: Left out with the daemon, and cheap. Dagster's deserializer finds what they define by name, for whoever asks it to.
_KNOWN = ("dagster._core.debug", "dagster._core.scheduler.instigation")


def import_framework() -> LoadDefinitions:
    """Import what a project and its runs need of Dagster and of this package; return what loads a project with it.

    A project that uses one of the modules left out has it as ever: it is imported then. One that is broken in itself
    hinders only a project that uses it. What cannot be imported at all is told by each load.
    """
    if "dagster" not in sys.modules:
        defer(_UNUSED)
    try:
        _import()
    except Exception as error:  # noqa: BLE001  # whatever importing raises is told by the load
        fault = error

        def refuse(source: DefinitionsSource, home: Path, *, is_for_one_run: bool = False) -> Definitions:
            """Raise why nothing can be loaded: a second try would stumble over what the first one left behind."""
            del source, home, is_for_one_run
            raise DefinitionsLoadError(failure_from_plain_exception(fault)) from fault

        return refuse
    return load_definitions


def _import() -> None:
    for module in _KNOWN:
        importlib.import_module(module)
    from dagster._core import telemetry

    import isthmus_code_server.definitions.dagster.adapter  # noqa: F401  # ours, and all that it imports

    # Its settings say that there are no reports about Dagster's use; but finding that out imports its SQL storages.
    telemetry.log_action = _report_nothing


def _report_nothing(*_: object, **__: object) -> None:
    """Take the place of a report."""
