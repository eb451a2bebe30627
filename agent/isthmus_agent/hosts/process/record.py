"""What the process host writes down about a server, so that an agent's next life finds it again."""

from dataclasses import dataclass, replace
from pathlib import Path

from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.plain_file import read_plain, replace_plain
from pydantic import TypeAdapter, ValidationError

from isthmus_agent.hosts.host import Server
from isthmus_agent.hosts.process import procfs

log = get_logger(__name__)

_FILE = "record.json"


@dataclass(frozen=True)
class ServerRecord:
    """A server's identity; written without a pid before its process is started, and with it after."""

    name: str
    deployment: str
    agent: str
    location: str
    generation: int
    incarnation: str
    address: str
    boot_id: str
    slot: str = ""
    pid: int | None = None
    start_ticks: int | None = None

    @property
    def server(self) -> Server:
        """Return the server as the rest of the agent knows it."""
        return Server(
            name=self.name,
            location=self.location,
            generation=self.generation,
            incarnation=self.incarnation,
            address=self.address,
            slot=self.slot,
        )

    def started(self, pid: int) -> "ServerRecord":
        """Return the record with its process."""
        return replace(self, pid=pid, start_ticks=procfs.start_ticks(pid))

    def find_pid(self) -> int | None:
        """Return the server's process if it runs."""
        if self.boot_id != procfs.boot_id():
            return None
        if self.pid is not None:
            is_same = self.start_ticks is not None and procfs.start_ticks(self.pid) == self.start_ticks
            return self.pid if is_same else None
        # The agent died between the start and the second writing: the tag tells the process, the oldest is the root.
        return next(iter(procfs.tagged_pids(self.incarnation)), None)

    def save(self, folder: Path) -> None:
        """Write the record into the server's folder, whole or not at all."""
        replace_plain(folder / _FILE, TypeAdapter(ServerRecord).dump_json(self))


def load_record(folder: Path) -> ServerRecord | None:
    """Return the record of a server's folder; None when it has none (the server's end was seen), or a damaged one."""
    try:
        return TypeAdapter(ServerRecord).validate_json(read_plain(folder / _FILE))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        log.warning("server_record_unreadable", folder=str(folder), error=str(error))
        return None


def remove_record(folder: Path) -> None:
    """Forget the server: its end was seen."""
    (folder / _FILE).unlink(missing_ok=True)
