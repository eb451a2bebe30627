"""A project of this folder, and what its expected.toml says."""

import re
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

_HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One run."""

    job: str
    outcome: Literal["succeeded", "failed"] = "succeeded"
    config: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    repeats: bool = False
    #: The location, where there are several.
    location: str = ""
    #: What Dagster's command is told to load, and to launch where that is called otherwise.
    dagster: str = "-f definitions.py"
    dagster_job: str = ""


@dataclass(frozen=True, kw_only=True)
class Project:
    """What is loaded, launched and expected; see README.md."""

    folder: Path
    launches: tuple[Launch, ...]
    start: str = ""
    warnings: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    setup: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    #: Whether the locations are found as `isthmus dev` finds them, and whether the project has the environment as its .venv.
    is_found: bool = False
    has_venv: bool = False
    #: Whether it is left to `make projects`.
    is_heavy: bool = False

    @property
    def name(self) -> str:
        """The project's name."""
        return self.folder.name

    def masked(self, text: str) -> str:
        """Hide what differs from run to run under Dagster, too."""
        for mask in self.masks:
            text = re.sub(mask, "<masked>", text)
        return text

    def copy_to(self, folder: Path) -> Path:
        """Copy the project, as the side that works in it is to find it."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
        return folder


def projects(*, with_heavy: bool = True) -> list[Project]:
    """Return the projects of this folder."""
    found = [_read(path.parent) for path in sorted(_HERE.glob("*/expected.toml"))]
    return [project for project in found if with_heavy or not project.is_heavy]


def _read(folder: Path) -> Project:
    document = tomllib.loads((folder / "expected.toml").read_text())
    launches = tuple(Launch(**launch) for launch in document.pop("launch"))
    for name in ("warnings", "setup", "masks", "secrets"):
        document[name] = tuple(document.get(name, ()))
    return Project(folder=folder, launches=launches, **document)
