"""A project of this folder, and what its expected.toml says."""

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


@dataclass(frozen=True, kw_only=True)
class Project:
    """What is loaded, launched and expected; see README.md."""

    folder: Path
    launches: tuple[Launch, ...]
    start: str = ""
    warnings: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    setup: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The project's name."""
        return self.folder.name

    def copy_to(self, folder: Path) -> Path:
        """Copy the project, as the side that works in it is to find it."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
        return folder


def projects() -> list[Project]:
    """Return every project of this folder."""
    return [_read(path.parent) for path in sorted(_HERE.glob("*/expected.toml"))]


def _read(folder: Path) -> Project:
    document = tomllib.loads((folder / "expected.toml").read_text())
    launches = tuple(Launch(**launch) for launch in document.pop("launch"))
    warnings, setup = tuple(document.pop("warnings", ())), tuple(document.pop("setup", ()))
    return Project(folder=folder, launches=launches, warnings=warnings, setup=setup, **document)
