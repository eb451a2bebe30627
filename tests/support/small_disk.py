"""A disk that is soon full: a small file system in memory, for root."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAGE = 4096


class SmallDisk:
    """A mounted file system of a few pages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self, *, free_pages: int = 0) -> None:
        """Take all of the space but for some pages."""
        with self._filler.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(_PAGE))
            except OSError:
                file.truncate(max(0, file.seek(0, 2) - free_pages * _PAGE))

    def empty(self) -> None:
        """Give the space back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, *, size: str = "1m") -> Iterator[SmallDisk]:
    """Mount a small file system at `path` while the context is entered."""
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "isthmus-test", str(path)], check=True)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def file_without_room(path: Path, *, disk: Path) -> Iterator[None]:
    """Have no room in the file at `path` alone, while the context is entered: it lies on a full disk, mounted at `disk`."""
    with small_disk(disk, size="64k") as full:
        (disk / "file").touch()
        full.fill()
        path.touch()
        subprocess.run(["mount", "--bind", str(disk / "file"), str(path)], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", str(path)], check=True)
