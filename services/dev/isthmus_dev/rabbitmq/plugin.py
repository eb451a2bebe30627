"""Which of RabbitMQ's applications a private node needs: it starts much sooner in a folder of these than among all.

A node reads the description and the configuration schema of whatever lies in its plugins folder, enabled or not; an
installation brings sixty of them, half of which the broker itself is made of.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

#: What is enabled.
ENABLED = ("rabbitmq_consistent_hash_exchange",)
_APPLICATIONS = re.compile(r"\{\s*applications\s*,\s*\[([^\]]*)\]")
_NAME = re.compile(r"[a-z]\w*")


def needed_applications(installed: Path) -> tuple[Path, ...]:
    """Return the folders of what is enabled and of all that it needs; none where the folder is not as we know it."""
    found = {folder.name.rpartition("-")[0]: folder for folder in installed.glob("*-*") if folder.is_dir()}
    try:
        needs = {name: _needs(folder / "ebin" / f"{name}.app") for name, folder in found.items()}
    except OSError:
        return ()
    if not needs.keys() >= {*ENABLED}:
        return ()
    return tuple(found[name] for name in sorted(closure(ENABLED, needs)))


def closure(names: Iterable[str], needs: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return those of `needs` that the names need, however indirectly, and themselves; the rest is Erlang's own."""
    reached: set[str] = set()
    waiting = [*names]
    while waiting:
        name = waiting.pop()
        if name in needs and name not in reached:
            reached.add(name)
            waiting += needs[name]
    return frozenset(reached)


def link_applications(folder: Path, applications: Iterable[Path]) -> None:
    """Fill a folder with links to the applications, and with nothing else: the installation may be another by now."""
    link(folder, {application.name: application for application in applications})


def link(folder: Path, wanted: Mapping[str, Path]) -> None:
    """Fill a folder with links of these names, and with nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for there in folder.iterdir():
        if there.name not in wanted or there.readlink() != wanted[there.name]:
            there.unlink()
    for name, target in wanted.items():
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(target)


def _needs(description: Path) -> frozenset[str]:
    match = _APPLICATIONS.search(description.read_text(encoding="utf-8", errors="replace"))
    return frozenset(_NAME.findall(match[1])) if match else frozenset()
