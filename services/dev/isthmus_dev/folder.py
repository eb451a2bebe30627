"""The data folder: who owns it, what lies where, and how the command line finds the control plane."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from isthmus_cli.file_fault import fault_text
from isthmus_client.announcement import Announcement
from isthmus_client.discovery import SERVER_FILE, TOKEN_FILE
from isthmus_lifecycle.private import private_folder

from isthmus_dev.errors import AlreadyRunningError, DevError


@dataclass(frozen=True)
class DataFolder:
    """Where everything lies that outlives one `isthmus dev`."""

    path: Path

    @property
    def database_file(self) -> Path:
        """The store."""
        return self.path / "isthmus.db"

    @property
    def database_url(self) -> str:
        """The store's address."""
        return f"sqlite:///{self.database_file}"

    @property
    def broker_dir(self) -> Path:
        """What the private RabbitMQ node keeps."""
        return self.path / "rabbitmq"

    @property
    def agent_dir(self) -> Path:
        """What the agent keeps: servers, runs, their output."""
        return self.path / "agent"

    @property
    def has_served(self) -> bool:
        """Whether there is something that the agent served last, and a queue of its own at the broker."""
        return (self.agent_dir / "desired.binpb").is_file()

    @property
    def lent_dir(self) -> Path:
        """What interpreters without a code server are lent."""
        return self.path / "python"

    @property
    def log_file(self) -> Path:
        """What the services log."""
        return self.path / "log" / "isthmus.log"

    @property
    def server_file(self) -> Path:
        """Where the command line finds our address."""
        return self.path / SERVER_FILE

    @property
    def token_file(self) -> Path:
        """Where the command line finds what it must send to our API."""
        return self.path / TOKEN_FILE

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the folder; the kernel lets go of it when this process dies, however it dies.

        Raises:
            AlreadyRunningError: Another process holds it.
            DevError: The folder cannot be written.
        """
        lock = self._open_lock()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(lock, 32, 0).decode(errors="replace").strip()
            os.close(lock)
            raise AlreadyRunningError(data_dir=str(self.path), pid=int(pid) if pid.isdigit() else None) from error
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def announced(self, address: str) -> Iterator[None]:
        """Tell the command line where the control plane listens, for as long as it does."""
        Announcement(address=address, pid=os.getpid(), token_file=self.token_file).write(self.server_file)
        try:
            yield
        finally:
            self.withdraw()

    def withdraw(self) -> None:
        """Take the announcement back."""
        with suppress(FileNotFoundError):
            self.server_file.unlink()

    def _open_lock(self) -> int:
        try:
            private_folder(self.path)
            self.log_file.parent.mkdir(exist_ok=True)
            ignore = self.path / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
            if self.database_file.exists():
                # Whoever cannot open it would wait for it as for a database that is away.
                os.close(os.open(self.database_file, os.O_RDWR | os.O_CLOEXEC))
            return os.open(self.path / "dev.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            where = error.filename or self.path
            raise DevError(
                f"{where} cannot be used: {fault_text(error)}.", remedy="Name another folder with --data-dir."
            ) from error
