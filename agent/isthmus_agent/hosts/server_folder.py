"""Folders of code servers: what is read from them, and how long those of ended servers are kept.

Anything in them may vanish between two looks: it is user code's, too.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from isthmus_lifecycle.plain_file import open_plain

#: Folders of ended servers that are kept for their output.
_KEPT_FOLDERS = 20


def folders_in(servers_dir: Path) -> Sequence[Path]:
    """Return the folders of servers, in the order of their names; none where there is no such place."""
    with suppress(OSError):
        return sorted(folder for folder in servers_dir.iterdir() if folder.is_dir())
    return ()


def remove_old_folders(servers_dir: Path, *, keep: frozenset[str]) -> None:
    """Remove the oldest folders of ended servers; those named in `keep` run."""
    ended = [folder for folder in folders_in(servers_dir) if folder.name not in keep]
    ended.sort(key=changed_at, reverse=True)
    for folder in ended[_KEPT_FOLDERS:]:
        shutil.rmtree(folder, ignore_errors=True)


def changed_at(path: Path) -> float:
    """Return when a file or folder was changed; 0 for one that is not there any more."""
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def read_tail(path: Path, *, max_bytes: int) -> str:
    """Return the end of a file as text; nothing when there is no file, or none that can be read."""
    try:
        with open(path, "rb", opener=open_plain) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            return file.read(max_bytes).decode(errors="replace")
    except OSError:
        return ""
