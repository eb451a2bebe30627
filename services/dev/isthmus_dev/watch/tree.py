"""Which files of a project are its code, and which of them changed."""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: What a project is written in. Data that runs write has other endings, and must not load the project anew.
_SUFFIXES = frozenset({".py", ".yaml", ".yml", ".toml", ".sql", ".jinja", ".jinja2", ".j2", ".ini", ".cfg"})
_NAMES = frozenset({".env"})
_IGNORED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "dbt_packages"})
#: What tools write, unless it is a package of the project.
_OUTPUT_FOLDERS = frozenset({"target", "build", "dist", "logs", "venv", "env"})
#: Marks of environments and caches.
_MARKS = ("pyvenv.cfg", "CACHEDIR.TAG", "conda-meta")
#: Beyond this many files the rest is not looked at: looking must stay cheap.
MAX_FILES = 20_000


@dataclass(frozen=True)
class _Stamp:
    mtime_ns: int
    size: int
    digest: bytes


@dataclass(frozen=True)
class Tree:
    """The code of a project as it stood at one look."""

    files: Mapping[str, _Stamp] = field(default_factory=dict, repr=False)
    #: Those that hold code or may come to hold some.
    folders: frozenset[str] = frozenset()

    def changed_since(self, before: "Tree") -> set[Path]:
        """Return the files that were added, removed or written with other content."""
        paths = self.files.keys() | before.files.keys()
        return {Path(path) for path in paths if _digest(self, path) != _digest(before, path)}


def look(roots: Sequence[Path], *, ignored: Collection[Path], before: Tree | None = None) -> Tree:
    """Read the code below some folders.

    Args:
        roots: The folders.
        ignored: Folders that belong to us.
        before: An earlier look: files that were not written since are not read again.
    """
    known = before.files if before is not None else {}
    folders: set[str] = set()
    files: dict[str, _Stamp] = {}
    for root in roots:
        for folder, names in _walk(root, ignored={str(path) for path in ignored}):
            if folder in folders:
                continue
            folders.add(folder)
            for name in names:
                stamp = _stamp(f"{folder}/{name}", known=known) if len(files) < MAX_FILES else None
                if stamp is not None:
                    files[f"{folder}/{name}"] = stamp
    return Tree(files, frozenset(folders))


def is_code(path: str) -> bool:
    """Whether a file is one that a project is written in."""
    name = os.path.basename(path)  # noqa: PTH119  # called for each of thousands of names
    if name.startswith("."):  # what tools write beside the code, as dbt's .user.yml
        return name in _NAMES
    return os.path.splitext(name)[1] in _SUFFIXES  # noqa: PTH122  # as above


def _walk(root: Path, *, ignored: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not _is_ignored(folder, name, ignored=ignored)]
        yield folder, [name for name in names if is_code(name)]


def _is_ignored(folder: str, name: str, *, ignored: Collection[str]) -> bool:
    path = f"{folder}/{name}"
    if name.startswith(".") or name in _IGNORED_FOLDERS or path in ignored:
        return True
    if any(os.path.exists(f"{path}/{mark}") for mark in _MARKS):  # noqa: PTH110  # called for each of thousands of names
        return True
    return name in _OUTPUT_FOLDERS and not os.path.exists(f"{path}/__init__.py")  # noqa: PTH110  # as above


def _stamp(path: str, *, known: Mapping[str, _Stamp]) -> _Stamp | None:
    try:
        facts = os.stat(path)  # noqa: PTH116  # as above
        stamp = known.get(path)
        if stamp is not None and (stamp.mtime_ns, stamp.size) == (facts.st_mtime_ns, facts.st_size):
            return stamp
        with open(path, "rb") as file:  # noqa: PTH123  # as above
            return _Stamp(facts.st_mtime_ns, facts.st_size, hashlib.blake2b(file.read(), digest_size=16).digest())
    except OSError:  # It was removed meanwhile, or is a link to nowhere.
        return None


def _digest(tree: Tree, path: str) -> bytes | None:
    stamp = tree.files.get(path)
    return stamp.digest if stamp is not None else None
