"""Imports a Dagster project the way `dagster dev` does, and makes one set of definitions of what it finds."""

import os
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus_code_server.definitions.dagster.loaded.sources import keep_sources
from isthmus_code_server.definitions.dagster.surrounding.instance_file import InstanceFile, read_instance_file
from isthmus_code_server.definitions.dagster.surrounding.surroundings import Surroundings
from isthmus_code_server.definitions.dagster.values.failure import failure_from_plain_exception
from isthmus_code_server.definitions.port import Definitions
from isthmus_code_server.definitions.source import DefinitionsSource
from isthmus_code_server.errors import DefinitionsLoadError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dagster import RepositoryDefinition
    from dagster._core.code_pointer import CodePointer


@dataclass(frozen=True, kw_only=True)
class FoundRepository:
    """A repository that the source makes."""

    repository: "RepositoryDefinition"
    #: Leads another process to it.
    pointer: "CodePointer"


def load_definitions(source: DefinitionsSource, home: Path, *, is_for_one_run: bool = False) -> Definitions:
    """Import the definitions and prepare everything that runs share, or, for one run alone, nothing.

    The process becomes what the project expects: its current directory, the start of sys.path and, from the files of
    variables, its environment.

    Args:
        source: Where the definitions come from.
        home: The location's folder, where values that outlive a run are kept.
        is_for_one_run: Whether only one run will use them.

    Raises:
        DefinitionsLoadError: Importing raised, or nothing to load was found.
    """
    try:
        _enter(source)
        file = _instance_file(source.location)
        found = find_repositories(source, is_lazy=is_for_one_run)
        keep_sources(sys.path[0], os.getcwd())  # noqa: PTH109  # sys.path holds text
        return _definitions(found, Surroundings(home=home, file=file), is_for_one_run=is_for_one_run)
    except DefinitionsLoadError:
        raise
    except (Exception, SystemExit) as error:
        # A project may call sys.exit at import; the server has to tell of it like of any other fault.
        raise DefinitionsLoadError(_load_failure(error)) from error


def find_repositories(source: DefinitionsSource, *, is_lazy: bool = False) -> "list[FoundRepository]":
    """Import the source and return the repositories that its definitions make: one, or each @repository of a module.

    Args:
        source: Where the definitions come from.
        is_lazy: Whether jobs, schedules and sensors are built at first use, and what is wrong with one is told then.

    Raises:
        Exception: Whatever importing raised, or Dagster's own error when nothing, or too much, was found.
    """
    from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType

    from isthmus_code_server.definitions.dagster.loaded.target import (
        find_targets,
        loading_of,
        pointer_to,
        repository_of,
    )

    DefinitionsLoadContext.set(
        DefinitionsLoadContext(load_type=DefinitionsLoadType.INITIALIZATION, repository_load_data=None)
    )
    with loading_of(source):
        found = [
            FoundRepository(
                repository=repository_of(target.definition, source=source),
                pointer=pointer_to(target.attribute, source=source),
            )
            for target in find_targets(source)
        ]
        for one in () if is_lazy else found:
            # Dagster builds jobs, schedules and sensors at first use: what is wrong with one must be told now.
            one.repository.load_all_definitions()
    return found


def _instance_file(location: str) -> InstanceFile:
    """Read what the project says of its instance; the variables that it has loaded are there for what follows."""
    file = read_instance_file(Path.cwd())
    os.environ.update(file.variables(location))
    return file


def _definitions(
    found: "Sequence[FoundRepository]", surroundings: Surroundings, *, is_for_one_run: bool
) -> Definitions:
    from isthmus_code_server.definitions.dagster.adapter import DagsterDefinitions
    from isthmus_code_server.definitions.dagster.executed.run_job import RunOrigin
    from isthmus_code_server.definitions.dagster.loaded.several import SeveralDefinitions

    framework = f"dagster {version('dagster')}"
    # Names of several repositories are told apart by what all of them define.
    is_bare = is_for_one_run and len(found) == 1
    members = {
        one.repository.name: DagsterDefinitions(
            RunOrigin.of(one.repository, pointer=one.pointer),
            surroundings=surroundings,
            framework=framework,
            is_for_one_run=is_bare,
        )
        for one in found
    }
    return SeveralDefinitions(members) if len(members) > 1 else next(iter(members.values()))


def _load_failure(error: BaseException) -> Any:
    failure = _bare_failure(error)
    if not failure.description and (missing := _missing_module(error)):
        failure.description = (
            f"{sys.executable} has no module {missing}, and none is in {sys.path[0]}. {_remedy(missing)}"
        )
    if isinstance(error, SystemExit):
        failure.description = (
            f"The project ended its interpreter with exit code {_exit_code(error)} while it was imported (sys.exit)."
        )
    return failure


def _remedy(missing: str) -> str:
    """Say what brings a module that is missing: it may be the project's own, in a folder that nobody named."""
    src = Path(sys.path[0], "src")
    if (src / missing).is_dir() or (src / f"{missing}.py").is_file():
        return (
            f"It lies in {src}: name that folder as the working directory (isthmus dev -m MODULE -d src), or install the"
            f" project into that Python ({sys.executable} -m pip install --editable .)."
        )
    return (
        f"Install what the project needs into that Python ({sys.executable} -m pip install PACKAGE, or uv pip install"
        f" --python {sys.executable} PACKAGE), or load the project with the Python that has it."
    )


def _exit_code(error: SystemExit) -> int:
    """Return what Python would have ended with."""
    if error.code is None:
        return 0
    return error.code if isinstance(error.code, int) else 1


def _bare_failure(error: BaseException) -> Any:
    if "dagster" in sys.modules:
        from isthmus_code_server.definitions.dagster.values.failure import failure_from_exception

        return failure_from_exception(error)
    return failure_from_plain_exception(error)


def _missing_module(error: BaseException) -> str:
    """Return the package that an error, or what caused it, could not find; empty when none was missing."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            return cause.name.partition(".")[0]
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return ""


def _enter(source: DefinitionsSource) -> None:
    """Let imports inside of ops find what imports at load found, first of all in the working directory."""
    current = source.current_directory or source.working_directory
    if current:
        os.chdir(current)
    folder = os.path.abspath(source.working_directory or os.getcwd())  # noqa: PTH100, PTH109  # sys.path holds text
    sys.path[:] = [folder, *(entry for entry in sys.path if entry not in ("", folder))]
    if source.env_files:
        from isthmus_code_server.definitions.dagster.loaded.env_file import read_env_files

        os.environ.update(read_env_files(source.env_files))
