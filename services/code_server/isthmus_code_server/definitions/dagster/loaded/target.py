"""Finds what a source names, by Dagster's own loaders, and makes repositories of it."""

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from isthmus_code_server.definitions.source import DefinitionsSource
from isthmus_code_server.errors import DagsterTooOldError

if TYPE_CHECKING:
    from dagster import RepositoryDefinition
    from dagster._core.code_pointer import CodePointer


@dataclass(frozen=True, kw_only=True)
class Target:
    """Something loadable that was found, and the name under which another process finds it again."""

    definition: object
    attribute: str


def loading_of(source: DefinitionsSource) -> AbstractContextManager[None]:
    """Let code that is being loaded ask Dagster from where, as integrations do."""
    from dagster._core.types.loadable_target_origin import (
        LoadableTargetOrigin,
        enter_loadable_target_origin_load_context,
    )

    names = {
        "python_file": source.python_file,
        "module_name": source.module,
        "package_name": source.package,
        "autoload_defs_module_name": source.autoload_defs_module,
        "attribute": source.attribute,
        "working_directory": _working_directory(),
    }
    # Older versions know fewer names: those that are not used are left out.
    said = {name: value for name, value in names.items() if value}
    if source.autoload_defs_module:
        _require_autoload()
    return enter_loadable_target_origin_load_context(LoadableTargetOrigin(executable_path=sys.executable, **said))


def find_targets(source: DefinitionsSource) -> list[Target]:
    """Import the source and return the object that the attribute names, or everything loadable in it.

    Raises:
        Exception: Whatever importing raised, or Dagster's own error when nothing, or too much, was found.
    """
    if source.attribute and not source.autoload_defs_module:
        found: object = pointer_to(source.attribute, source=source).load_target()
        return [Target(definition=found, attribute=source.attribute)]
    return [
        Target(definition=target.target_definition, attribute=target.attribute) for target in _loadable_targets(source)
    ]


def repository_of(target: object, *, source: DefinitionsSource) -> "RepositoryDefinition":
    """Return the repository that a target is, or makes.

    Raises:
        DagsterInvariantViolationError: It is nothing that Dagster can load.
    """
    from dagster._core.definitions.reconstruct import repository_def_from_target_def
    from dagster._core.errors import DagsterInvariantViolationError

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


def _loadable_targets(source: DefinitionsSource) -> Sequence[Any]:
    from dagster._core.workspace import autodiscovery

    # Always given: the loaders take what stands first on sys.path away for the time of the import.
    folder = _working_directory()
    loaders: Mapping[str, Callable[[], Sequence[Any]]] = {
        "module": lambda: autodiscovery.loadable_targets_from_python_module(source.module, folder),
        "package": lambda: autodiscovery.loadable_targets_from_python_package(source.package, folder),
        "autoload": lambda: [autodiscovery.autodefs_module_target(source.autoload_defs_module, folder)],
        "file": lambda: autodiscovery.loadable_targets_from_python_file(source.python_file, folder),
    }
    return loaders[_form(source)]()


def pointer_to(attribute: str, *, source: DefinitionsSource) -> "CodePointer":
    """Return what leads another process to a target of the source."""
    from dagster._core import code_pointer

    pointers: Any = code_pointer
    folder = _working_directory()
    makers: Mapping[str, Callable[[], CodePointer]] = {
        "module": lambda: pointers.CodePointer.from_module(source.module, attribute, folder),
        "package": lambda: pointers.CodePointer.from_python_package(source.package, attribute, folder),
        # Older versions have none of these, and nothing that it would lead to.
        "autoload": lambda: pointers.AutoloadDefsModuleCodePointer(
            module=source.autoload_defs_module, working_directory=folder
        ),
        "file": lambda: pointers.CodePointer.from_python_file(source.python_file, attribute, folder),
    }
    return makers[_form(source)]()


def _require_autoload() -> None:
    from dagster._core.workspace import autodiscovery

    if not hasattr(autodiscovery, "autodefs_module_target"):
        raise DagsterTooOldError("autoload_defs_module", needs="1.11", installed=version("dagster"))


def _working_directory() -> str:
    """Return what stands first on sys.path, which is where the source is looked for."""
    return os.fspath(sys.path[0])


def _form(source: DefinitionsSource) -> str:
    if source.module:
        return "module"
    if source.package:
        return "package"
    return "autoload" if source.autoload_defs_module else "file"


def _place(source: DefinitionsSource) -> str:
    place = source.module or source.package or source.autoload_defs_module or source.python_file
    return f"{place}:{source.attribute}" if source.attribute else place
