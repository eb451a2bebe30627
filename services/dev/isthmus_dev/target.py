"""Which definitions to load: those that the options name, else the project of the folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus.v1.instruction_pb2 import CodeSource, StartMethod
from isthmus_cli.project.find import Project, find_project
from isthmus_cli.project.name import Nameless, choose_names, location_name
from isthmus_cli.project.place import Place
from isthmus_cli.project.workspace import read_workspaces

from isthmus_dev.errors import TargetError


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """What was said on the command line; empty for nothing."""

    workspaces: Sequence[Path] = ()
    modules: Sequence[str] = ()
    files: Sequence[str] = ()
    packages: Sequence[str] = ()
    attribute: str = ""
    #: Where imports start; None for the folder.
    working_directory: Path | None = None
    name: str = ""
    #: How runs begin; None to leave it to the code server.
    start: StartMethod.ValueType | None = None


@dataclass(frozen=True)
class Targets:
    """What to load, and which file said so; none when the options did."""

    locations: list[LocationSettings]
    origin: Path | None = None


def resolve_targets(options: TargetOptions, *, folder: Path) -> Targets:
    """Choose the definitions to load, and how their runs begin.

    Args:
        options: What was said.
        folder: The current directory: relative paths start there, its .env is read, and its project is found.

    Raises:
        TargetError: When too much is named, or a file is not there.
        InputError: When nothing is found, or a file of the project is wrong.
    """
    targets = _chosen(options, folder=folder)
    if options.start is not None:
        for location in targets.locations:
            location.source.start = options.start
    return targets


def _chosen(options: TargetOptions, *, folder: Path) -> Targets:
    directory = folder / options.working_directory if options.working_directory else None
    if directory is not None and not directory.is_dir():
        raise TargetError(f"The working directory {directory} is not there.", remedy="Name a folder with -d.")
    kinds = {
        "--workspace": options.workspaces,
        "--module": options.modules,
        "--file": options.files,
        "--package": options.packages,
    }
    given = [kind for kind, values in kinds.items() if values]
    if len(given) > 1:
        raise TargetError(f"{' and '.join(given)} exclude each other.", remedy="Give one of them.")
    if options.workspaces:
        paths = [folder / path for path in options.workspaces]
        return Targets(_renamed(read_workspaces(paths, place=Place(folder)), options), paths[0])
    if not given:
        return _found(find_project(directory or folder), options)
    return Targets(_renamed(_named_by(options, place=Place(folder), directory=directory), options))


def _found(project: Project, options: TargetOptions) -> Targets:
    locations = _renamed(project.locations, options)
    if options.attribute:
        locations[0].source.attribute = options.attribute
    return Targets(locations, project.origin)


def _named_by(options: TargetOptions, *, place: Place, directory: Path | None) -> list[LocationSettings]:
    sources = [
        *(CodeSource(module=module) for module in options.modules),
        *(CodeSource(package=package) for package in options.packages),
        *(CodeSource(python_file=_file(file, place=place, directory=directory)) for file in options.files),
    ]
    named = [Nameless(target, folder=directory or place.folder) for target in (*options.modules, *options.packages)]
    named += [Nameless(Path(file).name, folder=place.absolute(file).parent) for file in options.files]
    names = choose_names(named)
    settings = []
    for name, source in zip(names, sources, strict=True):
        source.attribute = options.attribute
        settings.append(place.settings(name, source, working_directory=directory))
    return settings


def _renamed(locations: list[LocationSettings], options: TargetOptions) -> list[LocationSettings]:
    """Give the one location the name, if one was said."""
    for option, value in (("--name", options.name), ("--attribute", options.attribute)):
        if value and len(locations) > 1:
            names = ", ".join(location.name for location in locations)
            raise TargetError(f"{option} is for one location, and there are several: {names}.", remedy="Leave it out.")
    if options.name:
        locations[0].name = location_name(options.name)
    return locations


def _file(text: str, *, place: Place, directory: Path | None) -> str:
    for folder in (place.folder, directory):
        path = Place(folder).absolute(text) if folder is not None else None
        if path is not None and path.is_file():
            return str(path)
    raise TargetError(f"The file {place.absolute(text)} is not there.", remedy="Paths start at the current folder.")
