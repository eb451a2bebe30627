"""Distributions that are installed beside this process, as far as another interpreter may need them."""

import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

#: What a project's interpreter must have of ours.
CODE_SERVER = "isthmus-code-server"
#: What only the project itself may bring: everything of Dagster is the user's choice.
FRAMEWORK = "dagster"
#: Folders of the parts of ours that a code server consists of, by distribution.
OWN_FOLDERS = {
    CODE_SERVER: "isthmus_code_server",
    "isthmus-broker": "isthmus_broker",
    "isthmus-lifecycle": "isthmus_lifecycle",
    "isthmus-protos": "isthmus",
    "isthmus-spool": "isthmus_spool",
}


@dataclass(frozen=True)
class Package:
    """An installed distribution."""

    name: str
    version: str
    requires: tuple[Requirement, ...] = ()
    #: Whether it is Python alone, and so works in every interpreter.
    is_portable: bool = True
    #: What of it lies in site-packages: folders and files, by name.
    entries: Mapping[str, Path] = field(default_factory=dict, repr=False)


def code_server_packages() -> Mapping[str, Package]:
    """Return the code server and everything that it needs, as installed beside us; of Dagster its name alone.

    Raises:
        PackageNotFoundError: Our own installation is incomplete.
    """
    found: dict[str, Package] = {}
    names = [CODE_SERVER]
    while names:
        name = names.pop()
        if name in found or name == FRAMEWORK:
            continue
        try:
            found[name] = _package(name)
        except importlib.metadata.PackageNotFoundError:
            if name in OWN_FOLDERS:
                raise
            # As of a requirement for another Python than ours: whoever needs it has to be given it from elsewhere.
            continue
        names += [canonicalize_name(needed.name) for needed in found[name].requires]
    return found


def framework_requirement(packages: Mapping[str, Package]) -> Requirement:
    """Return which releases of Dagster the code server works with."""
    return next(needed for needed in packages[CODE_SERVER].requires if needed.name == FRAMEWORK)


def _package(name: str) -> Package:
    distribution = importlib.metadata.distribution(name)
    tags = [
        line.partition(": ")[2] for line in (distribution.read_text("WHEEL") or "").splitlines() if line[:5] == "Tag: "
    ]
    return Package(
        name=name,
        version=distribution.version,
        requires=tuple(_plain(distribution.requires or ())),
        is_portable=all(tag.endswith("-none-any") for tag in tags),
        entries=_own_entries(name) if name in OWN_FOLDERS else _entries(distribution),
    )


def _plain(lines: "list[str] | tuple[str, ...]") -> Iterator[Requirement]:
    """Yield what is needed without any extra."""
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is None or "extra" not in str(requirement.marker):
            yield requirement


def _own_entries(name: str) -> Mapping[str, Path]:
    """Return the folder of a part of ours, which may be anywhere while it is being worked on."""
    from importlib.util import find_spec

    folder = OWN_FOLDERS[name]
    spec = find_spec(folder)
    if spec is None or not spec.submodule_search_locations:
        raise importlib.metadata.PackageNotFoundError(name)
    return {folder: Path(next(iter(spec.submodule_search_locations)))}


def _entries(distribution: importlib.metadata.Distribution) -> Mapping[str, Path]:
    tops = {file.parts[0] for file in distribution.files or () if file.parts[0] not in {"..", "__pycache__"}}
    return {top: Path(str(distribution.locate_file(top))) for top in tops}
