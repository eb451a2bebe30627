"""Which definitions to load: from the options, else from the project's pyproject.toml."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus.v1.instruction_pb2 import CodeSource

from isthmus_dev.errors import TargetError

_REMEDY = (
    "Name your definitions: isthmus dev -m my_project.definitions, or -f definitions.py; or write into pyproject.toml:\n"
    '  [tool.dagster]\n  module_name = "my_project.definitions"'
)
#: Names that say nothing about a project.
_PLAIN_NAMES = frozenset({"definitions", "defs", "repository", "repo", "main", "src", "__init__"})
_NAME_LENGTH = 63


@dataclass(frozen=True)
class TargetOptions:
    """What was said on the command line; empty for nothing."""

    module: str = ""
    file: str = ""
    package: str = ""
    attribute: str = ""
    name: str = ""


def resolve_target(options: TargetOptions, *, folder: Path) -> LocationSettings:
    """Choose the definitions to load.

    Args:
        options: What was said.
        folder: The working directory: relative paths start there, and its pyproject.toml is read.

    Raises:
        TargetError: When nothing, or too much, is named, or a file is not there.
    """
    if not folder.is_dir():
        raise TargetError(f"The working directory {folder} is not there.", remedy="Name a folder with -d.")
    given = [kind for kind in ("module", "file", "package") if getattr(options, kind)]
    if len(given) > 1:
        raise TargetError(f"--{' and --'.join(given)} exclude each other.", remedy="Give one of them.")
    chosen = options if given else _from_pyproject(options, folder=folder)
    source = CodeSource(attribute=chosen.attribute, working_directory=str(folder))
    if chosen.module:
        source.module = chosen.module
    elif chosen.file:
        source.python_file = _existing(folder / chosen.file)
    else:
        source.package = chosen.package
    return LocationSettings(name=chosen.name or location_name(chosen, folder=folder), source=source)


def location_name(options: TargetOptions, *, folder: Path) -> str:
    """Derive a location's name: the first word of the target that says something, else the folder's."""
    words = Path(options.file).stem.split(".") if options.file else (options.module or options.package).split(".")
    telling = [word for word in words if word not in _PLAIN_NAMES]
    text = (telling or [folder.name or "dev"])[0].lower()
    return re.sub(r"[^a-z0-9_-]+", "-", text).strip("-_")[:_NAME_LENGTH].rstrip("-_") or "dev"


def _from_pyproject(options: TargetOptions, *, folder: Path) -> TargetOptions:
    path = folder / "pyproject.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("dagster", {})
    except FileNotFoundError as error:
        raise TargetError(f"There are no definitions named, and no {path}.", remedy=_REMEDY) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TargetError(f"{path} cannot be read: {error}.", remedy="Mend the file, or use -m, -f or -p.") from error
    if not table.get("module_name"):
        raise TargetError(
            f"There are no definitions named, and {path} has no [tool.dagster] module_name.", remedy=_REMEDY
        )
    return TargetOptions(
        module=str(table["module_name"]),
        attribute=options.attribute or str(table.get("attribute", "")),
        name=options.name or str(table.get("code_location_name", "")),
    )


def _existing(path: Path) -> str:
    if not path.is_file():
        raise TargetError(f"The file {path} is not there.", remedy="Paths start at the working directory (-d).")
    return str(path.resolve())
