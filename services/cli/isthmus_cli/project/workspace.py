"""Reads Dagster's workspace.yaml: a list of code locations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus.v1.instruction_pb2 import CodeSource

from isthmus_cli.file_fault import read_text
from isthmus_cli.project.name import Nameless, choose_names
from isthmus_cli.project.place import Place
from isthmus_cli.project.table import Table
from isthmus_cli.yaml_text import parse_yaml

_SHARED = ("attribute", "working_directory", "location_name", "executable_path")
_FORM = "The form is: load_from: [{python_module: my_project.definitions}]."


@dataclass(frozen=True)
class _Entry:
    """One entry: what it loads, and its fields."""

    source: CodeSource
    #: What a name is derived from when none is given.
    target: str
    table: Table
    working_directory: Path | None

    def nameless(self, place: Place) -> Nameless:
        """Return what the location's name is made from."""
        attribute = "" if self.source.autoload_defs_module else self.table.text("attribute")
        file = self.source.python_file
        folder = Path(file).parent if file else self.working_directory or place.folder
        return Nameless(self.target, attribute=attribute, said=self.table.text("location_name"), folder=folder)


def read_workspaces(paths: Sequence[Path], *, place: Place) -> list[LocationSettings]:
    """Read files in order; a location of a later file replaces the one of the same name before it.

    Raises:
        InputError: Names file, key and remedy.
    """
    found: dict[str, LocationSettings] = {}
    for path in paths:
        found |= {settings.name: settings for settings in _read_workspace(path, place=place)}
    return list(found.values())


def _read_workspace(path: Path, *, place: Place) -> list[LocationSettings]:
    text = read_text(path, remedy="Name a workspace.yaml.")
    content = Table.of(parse_yaml(text, origin=str(path)), origin=str(path), environment=place.environment())
    content.require_known("load_from")
    entries = content.tables("load_from")
    if not entries:
        raise content.error("load_from", "names no code location", remedy=_FORM)
    read = [_entry(entry, path=path, place=place) for entry in entries]
    names = choose_names([entry.nameless(place) for entry in read])
    _require_distinct(list(zip(entries, names, strict=True)))
    return [_settings(entry, name=name, place=place) for entry, name in zip(read, names, strict=True)]


def _entry(entry: Table, *, path: Path, place: Place) -> _Entry:
    if len(entry.values) != 1:
        raise entry.error("", "must have exactly one kind of target", remedy=f"Give one of {', '.join(_READERS)}.")
    kind = next(iter(entry.values))
    if kind == "grpc_server":
        raise entry.error(
            kind,
            "names a gRPC server of Dagster's own, which Isthmus does not speak to: its agents start code servers themselves",
            remedy="Name what that server loads as python_module, python_file or python_package, with executable_path"
            " when it has a Python of its own, or run an agent where it runs.",
        )
    if kind not in _READERS:
        raise entry.error(str(kind), "is no kind of target", remedy=f"The kinds are: {', '.join(_READERS)}.")
    short, reader = _READERS[kind]
    value = entry.values[kind]
    table = entry.table(kind) if isinstance(value, dict) else entry.short(kind, field=short)
    return reader(table, path, place)


def _file(table: Table, path: Path, place: Place) -> _Entry:
    table.require_known("relative_path", *_SHARED)
    # Paths of files start at the workspace file, all others at the folder from which Dagster is started.
    beside = Place(path.absolute().parent)
    file = beside.absolute(table.required("relative_path"))
    if not file.is_file():
        raise table.error(
            "relative_path", f"is not there: {file}", remedy="Paths start at the workspace file's folder."
        )
    directory = table.text("working_directory")
    is_short = set(table.values) == {"relative_path"} and table.is_short
    folder = place.folder if is_short else beside.absolute(directory)
    return _Entry(CodeSource(python_file=str(file)), file.name, table, folder)


def _module(table: Table, _: Path, place: Place) -> _Entry:
    table.require_known("module_name", *_SHARED)
    module = table.required("module_name")
    return _Entry(CodeSource(module=module), module, table, _directory(table, place))


def _package(table: Table, _: Path, place: Place) -> _Entry:
    table.require_known("package_name", *_SHARED)
    package = table.required("package_name")
    return _Entry(CodeSource(package=package), package, table, _directory(table, place))


def _autoload(table: Table, _: Path, place: Place) -> _Entry:
    table.require_known("module_name", "working_directory", "location_name", "executable_path")
    module = table.required("module_name")
    return _Entry(CodeSource(autoload_defs_module=module), module, table, _directory(table, place))


_Reader = Callable[[Table, Path, Place], _Entry]
#: By kind: the field that the short form stands for, and who reads the long form.
_READERS: Mapping[str, tuple[str, _Reader]] = {
    "python_file": ("relative_path", _file),
    "python_module": ("module_name", _module),
    "python_package": ("package_name", _package),
    "autoload_defs_module": ("module_name", _autoload),
}


def _directory(table: Table, place: Place) -> Path | None:
    directory = table.text("working_directory")
    return place.absolute(directory) if directory else None


def _settings(entry: _Entry, *, name: str, place: Place) -> LocationSettings:
    table, source = entry.table, entry.source
    folder = entry.working_directory or place.folder
    if not folder.is_dir():
        raise table.error("working_directory", f"is not there: {folder}", remedy="Name a folder that exists.")
    source.attribute = table.text("attribute")
    executable = table.text("executable_path")
    if executable:
        source.python_executable = _executable(executable, table=table, place=place)
    return place.settings(name, source, working_directory=folder)


def _executable(text: str, *, table: Table, place: Place) -> str:
    path = place.absolute(text)
    if not path.exists():
        raise table.error("executable_path", f"is not there: {path}", remedy="Name a Python interpreter.")
    return str(path)


def _require_distinct(named: Sequence[tuple[Table, str]]) -> None:
    taken: dict[str, str] = {}
    for entry, name in named:
        other = taken.setdefault(name, entry.path)
        if other != entry.path:
            problem = f"and {other} would both be the location {name}"
            raise entry.error("", problem, remedy="Give them location_names that differ in letters or digits.")
