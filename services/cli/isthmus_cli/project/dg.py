"""Reads projects and workspaces of `dg`: dg.toml, or [tool.dg] of a pyproject.toml."""

from dataclasses import dataclass
from pathlib import Path

from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus.v1.instruction_pb2 import CodeSource

from isthmus_cli.project.name import Nameless, choose_names
from isthmus_cli.project.place import ENV_FILE, Place
from isthmus_cli.project.table import Table
from isthmus_cli.project.toml_text import read_toml

_TYPES = ("project", "workspace")


@dataclass(frozen=True)
class DgConfig:
    """What dg is told about a folder."""

    folder: Path
    table: Table

    @property
    def is_workspace(self) -> bool:
        """Whether the folder holds projects, and is none itself."""
        return self._type == "workspace"

    @property
    def _type(self) -> str:
        said = self.table.text("directory_type")
        if said and said not in _TYPES:
            remedy = f"The types are: {', '.join(_TYPES)}."
            raise self.table.error("directory_type", f"is {said!r}", remedy=remedy)
        return said or ("workspace" if "workspace" in self.table.values else "project")


def read_dg_config(folder: Path) -> DgConfig | None:
    """Return what dg is told about a folder; None when it is told nothing. Beside a dg.toml, pyproject.toml is silent.

    Raises:
        InputError: A file cannot be read.
    """
    table = read_toml(folder / "dg.toml")
    if table is None:
        project = read_toml(folder / "pyproject.toml")
        table = project.table("tool").table("dg") if project is not None else None
    if table is None or not any(key in table.values for key in ("directory_type", *_TYPES)):
        return None
    return DgConfig(folder, table)


def dg_locations(config: DgConfig) -> list[LocationSettings]:
    """Return the locations of a project, or of every project of a workspace.

    Raises:
        InputError: Names file, key and remedy.
    """
    place = Place(config.folder)
    if not config.is_workspace:
        return _named([_project(config)], place=place)
    entries = config.table.table("workspace").tables("projects")
    projects = [_project(_config_of(entry, root=config.folder), has_own_python=True) for entry in entries]
    if not projects:
        where = config.table.table("workspace")
        raise where.error("projects", "names no project", remedy="Add one with `dg scaffold project`.")
    return _named(projects, place=place)


@dataclass(frozen=True)
class _Project:
    source: CodeSource
    nameless: Nameless
    #: What comes first on sys.path: src, where there is one.
    import_folder: Path


def _config_of(entry: Table, *, root: Path) -> DgConfig:
    folder = root / entry.required("path")
    config = read_dg_config(folder)
    if config is None or config.is_workspace:
        remedy = f"A project has a pyproject.toml with [tool.dg.project] in {folder}."
        raise entry.error("path", f"leads to no dg project: {entry.text('path')}", remedy=remedy)
    return config


def _project(config: DgConfig, *, has_own_python: bool = False) -> _Project:
    table, folder = config.table.table("project"), config.folder
    root = table.required("root_module")
    is_autoload = table.flag("autoload_defs")
    source = (
        CodeSource(autoload_defs_module=table.text("defs_module") or f"{root}.defs")
        if is_autoload
        else CodeSource(module=table.text("code_location_target_module") or f"{root}.definitions")
    )
    python = folder / ".venv" / "bin" / "python"
    if has_own_python and python.exists():
        source.python_executable = str(python)
    said = table.text("code_location_name") or folder.resolve().name
    nameless = Nameless(source.module or source.autoload_defs_module, said=said, folder=folder)
    return _Project(source, nameless, folder / "src" if (folder / "src").is_dir() else folder)


def _named(projects: list[_Project], *, place: Place) -> list[LocationSettings]:
    names = choose_names([project.nameless for project in projects])
    return [
        place.settings(
            name,
            project.source,
            working_directory=project.import_folder,
            env_file=project.nameless.folder / ENV_FILE,
        )
        for name, project in zip(names, projects, strict=True)
    ]
