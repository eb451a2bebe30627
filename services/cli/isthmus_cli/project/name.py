"""Names of locations: words of routing keys, made from what a project calls its locations."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Names that say nothing about a project.
_PLAIN_NAMES = frozenset({"definitions", "defs", "repository", "repo", "main", "src", "__init__"})
_LENGTH = 63


@dataclass(frozen=True)
class Nameless:
    """What a location's name is made from."""

    #: The module, package or file that is loaded.
    target: str
    attribute: str = ""
    #: What the project calls it; empty for nothing.
    said: str = ""
    folder: Path = Path()


def location_name(text: str, *, fallback: str = "dev") -> str:
    """Make a location's name of any text: lower-case letters, digits, - and _; the fallback when nothing is left."""
    name = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:_LENGTH].rstrip("-_")
    return name or fallback


def telling_name(target: str, *, folder: Path) -> str:
    """Derive a name from a module, package or file: its first word that says something, else the folder's name."""
    words = [Path(target).stem] if target.endswith(".py") else target.split(".")
    telling = [word for word in words if word not in _PLAIN_NAMES]
    return location_name((telling or [folder.name])[0])


def choose_names(locations: Sequence[Nameless]) -> list[str]:
    """Name locations: as they are called, else by the first telling word, and by the whole target where that clashes."""
    short = [location_name(one.said) if one.said else telling_name(one.target, folder=one.folder) for one in locations]
    uses = Counter(short)
    return [
        name if one.said or uses[name] == 1 else location_name(f"{one.target}-{one.attribute}")
        for name, one in zip(short, locations, strict=True)
    ]
