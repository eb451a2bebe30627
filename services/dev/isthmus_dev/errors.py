"""Why `isthmus dev` cannot start, or cannot go on."""

from pathlib import Path


class DevError(Exception):
    """Root of this package's errors: each says what to do now. All are permanent: nothing here is worth a retry."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class TargetError(DevError):
    """It is not clear which definitions to load."""


class AlreadyRunningError(DevError):
    """Another `isthmus dev` works with the same data folder."""

    def __init__(self, *, data_dir: str, pid: int | None) -> None:
        owner = f"process {pid}" if pid else "another process"
        super().__init__(
            f"isthmus dev runs already with {data_dir}: {owner}.",
            remedy=f"Use that one, stop it{f' (kill {pid})' if pid else ''}, or name another --data-dir (and --port 0).",
        )
        self.pid = pid


class PartDiedError(DevError):
    """A part of the system ended, so the whole does."""

    def __init__(self, part: str, *, reason: str, log_file: str) -> None:
        super().__init__(f"The {part} died: {reason}", remedy=f"Its log: {log_file}")
        self.part = part


class DiskFullError(DevError):
    """The private broker has too little room to take messages."""

    def __init__(self, folder: Path, *, free_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"The disk of {folder} is full: {free_bytes // 1_000_000} MB are free, and"
            f" RabbitMQ takes no message below {limit_bytes // 1_000_000} MB.",
            remedy="Make room there, or keep the data on another disk with --data-dir.",
        )
        self.free_bytes = free_bytes
