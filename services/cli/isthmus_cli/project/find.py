"""Finds the code locations of the project in a folder, in the order of `dagster dev`, then as `dg dev` does."""

from dataclasses import dataclass
from pathlib import Path

from isthmus.v1.control_plane_pb2 import LocationSettings

from isthmus_cli.errors import InputError
from isthmus_cli.project.dagster_table import read_dagster_table
from isthmus_cli.project.dg import dg_locations, read_dg_config
from isthmus_cli.project.place import Place
from isthmus_cli.project.toml_text import read_toml
from isthmus_cli.project.workspace import read_workspaces

_REMEDY = (
    "Name your definitions: isthmus dev -m my_project.definitions, -f definitions.py or -w workspace.yaml; or write into"
    ' pyproject.toml:\n  [tool.dagster]\n  module_name = "my_project.definitions"'
)
_WORKSPACES = ("workspace.yaml", "workspace.yml")


@dataclass(frozen=True)
class Project:
    """What was found."""

    #: The file that said so.
    origin: Path
    locations: list[LocationSettings]


def find_project(folder: Path) -> Project:
    """Find the project of a folder.

    The first of these that names something: [tool.dagster] of pyproject.toml, dg.toml or [tool.dg], workspace.yaml, then
    a dg project or workspace in a folder above.

    Raises:
        InputError: There is none, or its files are wrong.
    """
    place = Place(folder)
    pyproject = read_toml(folder / "pyproject.toml")
    if pyproject is not None:
        locations = read_dagster_table(pyproject.table("tool").table("dagster"), place=place)
        if locations:
            return Project(folder / "pyproject.toml", locations)
    for candidate in (folder, *folder.parents):
        found = _dg_project(candidate)
        found = found or (_workspace(place) if candidate == folder else None)
        if found is not None:
            return found
    raise InputError(
        f"There are no definitions named, and {folder} has no pyproject.toml with [tool.dagster] or [tool.dg], no dg.toml"
        " and no workspace.yaml.",
        remedy=_REMEDY,
    )


def _dg_project(folder: Path) -> Project | None:
    config = read_dg_config(folder)
    return Project(Path(config.table.origin), dg_locations(config)) if config is not None else None


def _workspace(place: Place) -> Project | None:
    path = next((place.folder / name for name in _WORKSPACES if (place.folder / name).is_file()), None)
    return Project(path, read_workspaces([path], place=place)) if path is not None else None
