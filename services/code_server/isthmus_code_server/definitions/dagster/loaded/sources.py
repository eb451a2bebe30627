"""Keeps the lines of the project's code as they were imported: a traceback shows what ran, not what was saved since."""

import linecache
import sys
from collections.abc import Iterator
from pathlib import Path


def keep_sources(*folders: str) -> None:
    """Remember the source of every imported module below some folders, environments aside.

    An entry without a time of change is one that `linecache` never compares with the file again.
    """
    for file in sorted(_files(tuple(f"{Path(folder).absolute()}/" for folder in folders if folder))):
        lines = linecache.getlines(file)
        if lines:
            linecache.cache[file] = (sum(map(len, lines)), None, lines, file)


def _files(folders: tuple[str, ...]) -> Iterator[str]:
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.startswith(folders) and "/site-packages/" not in file:
            yield file
