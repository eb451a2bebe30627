"""Folders of code servers: what is read from them, and how long those of ended servers are kept."""

import os
import shutil
from pathlib import Path

#: Folders of ended servers that are kept for their output.
_KEPT_FOLDERS = 20


def remove_old_folders(servers_dir: Path, *, keep: frozenset[str]) -> None:
    """Remove the oldest folders of ended servers; those named in `keep` run."""
    ended = [folder for folder in servers_dir.iterdir() if folder.is_dir() and folder.name not in keep]
    ended.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in ended[_KEPT_FOLDERS:]:
        shutil.rmtree(folder, ignore_errors=True)


def read_tail(path: Path, *, max_bytes: int) -> str:
    """Return the end of a file as text; nothing when there is no file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
