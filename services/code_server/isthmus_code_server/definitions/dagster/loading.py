"""Imports a Dagster project the way `dagster dev` does and finds its one repository of definitions."""

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus_code_server.definitions.dagster.failure import failure_from_plain_exception
from isthmus_code_server.definitions.port import Definitions, DefinitionsSource
from isthmus_code_server.errors import DefinitionsLoadError

if TYPE_CHECKING:
    from dagster import RepositoryDefinition


def load_definitions(source: DefinitionsSource, home: Path) -> Definitions:
    """Import the definitions and prepare everything that runs share.

    Args:
        source: Where the definitions come from.
        home: The location's folder, where values that outlive a run are kept.

    Raises:
        DefinitionsLoadError: Importing raised, or nothing to load was found.
    """
    try:
        _put_first_on_path(source)
        repository = find_repository(source)
        return _adapter(repository, home)
    except DefinitionsLoadError:
        raise
    except (Exception, SystemExit) as error:
        # A project may call sys.exit at import; the server has to tell of it like of any other fault.
        raise DefinitionsLoadError(_load_failure(error)) from error


def _adapter(repository: "RepositoryDefinition", home: Path) -> Definitions:
    from isthmus_code_server.definitions.dagster.adapter import DagsterDefinitions

    return DagsterDefinitions(repository, home=home, framework=f"dagster {version('dagster')}")


def _load_failure(error: BaseException) -> Any:
    if "dagster" in sys.modules:
        from isthmus_code_server.definitions.dagster.failure import failure_from_exception

        return failure_from_exception(error)
    return failure_from_plain_exception(error)


def _put_first_on_path(source: DefinitionsSource) -> None:
    """Let imports inside of ops find what imports at load found, first of all in the working directory."""
    folder = os.path.abspath(source.working_directory or os.getcwd())  # noqa: PTH100, PTH109  # sys.path holds text
    if source.working_directory:
        os.chdir(folder)
    sys.path[:] = [folder, *(entry for entry in sys.path if entry not in ("", folder))]


def find_repository(source: DefinitionsSource) -> "RepositoryDefinition":
    """Import the source and return the repository that its definitions make.

    Raises:
        Exception: Whatever importing raised, or Dagster's own error when nothing, or too much, was found.
    """
    from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType
    from dagster._core.definitions.reconstruct import repository_def_from_target_def
    from dagster._core.errors import DagsterInvariantViolationError

    DefinitionsLoadContext.set(
        DefinitionsLoadContext(load_type=DefinitionsLoadType.INITIALIZATION, repository_load_data=None)
    )
    target = _target(source)
    # An attribute may be a plain function that makes definitions; what @definitions decorates, Dagster calls itself.
    if inspect.isfunction(target):
        target = target()
    repository = repository_def_from_target_def(target)
    if repository is None:
        message = (
            f"{_place(source)} holds a {type(target).__name__}, which is not something that Dagster can load: name an"
            " attribute that is a Definitions, RepositoryDefinition, JobDefinition, GraphDefinition or a list of assets"
        )
        raise DagsterInvariantViolationError(message)
    return repository


def _target(source: DefinitionsSource) -> object:
    """Return the object that the attribute names, or the only loadable one."""
    if source.attribute:
        return _attribute(source)
    targets = _loadable_targets(source)
    if len(targets) > 1:
        from dagster._core.errors import DagsterInvariantViolationError

        names = ", ".join(sorted(target.attribute for target in targets))
        message = f"{_place(source)} holds more than one loadable object ({names}): name one as the attribute"
        raise DagsterInvariantViolationError(message)
    return targets[0].target_definition


def _loadable_targets(source: DefinitionsSource) -> Sequence[Any]:
    from dagster._core.workspace import autodiscovery

    # Always given: the loaders take what stands first on sys.path away for the time of the import.
    working_directory = sys.path[0]
    loaders: Mapping[str, Callable[[], Sequence[Any]]] = {
        "module": lambda: autodiscovery.loadable_targets_from_python_module(source.module, working_directory),
        "package": lambda: autodiscovery.loadable_targets_from_python_package(source.package, working_directory),
        "file": lambda: autodiscovery.loadable_targets_from_python_file(source.python_file, working_directory),
    }
    return loaders[_form(source)]()


def _attribute(source: DefinitionsSource) -> object:
    from dagster._core.code_pointer import CodePointer

    working_directory = sys.path[0]
    makers: Mapping[str, Callable[[], Any]] = {
        "module": lambda: CodePointer.from_module(source.module, source.attribute, working_directory),
        "package": lambda: CodePointer.from_python_package(source.package, source.attribute, working_directory),
        "file": lambda: CodePointer.from_python_file(source.python_file, source.attribute, working_directory),
    }
    target: object = makers[_form(source)]().load_target()
    return target


def _form(source: DefinitionsSource) -> str:
    if source.module:
        return "module"
    return "package" if source.package else "file"


def _place(source: DefinitionsSource) -> str:
    place = source.module or source.package or source.python_file
    return f"{place}:{source.attribute}" if source.attribute else place
