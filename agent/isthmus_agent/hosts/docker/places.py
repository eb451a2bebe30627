"""Where the files of containers lie: as the agent sees them, as the engine does, and as the container does."""

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from isthmus_agent.desired.container import Mount
from isthmus_agent.hosts.docker.engine import Engine
from isthmus_agent.hosts.docker.replies import ContainerMount
from isthmus_agent.hosts.errors import DataFolderUnfitError
from isthmus_agent.hosts.host import ServerSpec
from isthmus_agent.hosts.server_config import CONFIG_FILE

#: Longest path of a unix socket on Linux, bytes.
_MAX_SOCKET_PATH = 107
_DIGEST_CHARS = 16
#: In a container, /etc/hostname is a file that the engine keeps in a folder of the container's id.
_MOUNTS_FILE = Path("/proc/self/mountinfo")
_CONTAINER_ID = re.compile(r"/containers/([0-9a-f]{64})/hostname ")

#: In the container: what outlives runs, and below it the server's own folder and the location's attempts.
HOME = PurePosixPath("/isthmus")
SERVER_DIR = HOME / "server"
RUNS_DIR = HOME / "runs"

_SHARED = "io"
_SOCKET = "sock"
#: Where a server listens, as it sees it itself.
LISTEN = f"unix:{SERVER_DIR / _SOCKET}"
#: What containers write to is open to any user, below folders that only the agent's user can pass.
_OPEN_TO_ALL = 0o777


@dataclass(frozen=True)
class ServerPlaces:
    """The folders of one server."""

    #: The agent's alone: what is in `shared` below it can be changed by user code, even into links to elsewhere.
    folder: Path
    #: The location's attempts.
    runs_dir: Path
    #: What outlives the location's runs, as the default IO manager writes it.
    home: Path

    @property
    def shared(self) -> Path:
        """What the container sees as its server's folder."""
        return self.folder / _SHARED

    @property
    def socket(self) -> Path:
        """Where the server listens, as the agent sees it."""
        return self.shared / _SOCKET

    @property
    def address(self) -> str:
        """Where the agent calls the server."""
        return f"unix:{self.socket}"

    def prepare(self, *, config: str, reader: tuple[int, int] | None) -> None:
        """Make the folders anew with the server's configuration, before there is a container.

        Args:
            config: the configuration, with a password.
            reader: the user and group that the container has; None when they are not known, and then everybody
                who can see the folder may read it: the container alone.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # An earlier life of the server may have left anything here.
        self.clear()
        for path in (self.shared, self.runs_dir, self.home):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(_OPEN_TO_ALL)
        with open(self.shared / CONFIG_FILE, "x", encoding="utf-8", opener=_open_private) as file:
            if reader is None:
                os.fchmod(file.fileno(), 0o644)
            elif reader != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), *reader)
            file.write(config)

    def clear(self) -> None:
        """Remove what a server that ended leaves behind."""
        clear_shared(self.folder)


@dataclass(frozen=True)
class Places:
    """The agent's data folder, seen from both sides."""

    #: As the agent sees it.
    data_dir: Path
    #: As the engine's machine has it.
    engine_data_dir: Path
    #: The volume that it is on; empty for none.
    volume: str = ""

    @property
    def servers_dir(self) -> Path:
        """A folder per server."""
        return self.data_dir / "servers"

    def prepare(self) -> None:
        """Make the folders that keep others out.

        Raises:
            DataFolderUnfitError: the path is too long for sockets below it.
        """
        longest = self.servers_dir / ("x" * _DIGEST_CHARS) / _SHARED / _SOCKET
        if len(os.fsencode(longest)) > _MAX_SOCKET_PATH:
            problem = (
                f"the path is too long for unix sockets below it ({longest} must fit into {_MAX_SOCKET_PATH} bytes)"
            )
            raise DataFolderUnfitError(path=str(self.data_dir), problem=problem)
        for folder in (self.servers_dir, self.data_dir / "runs", self.data_dir / "homes"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)

    def of(self, server: str, *, location: str) -> ServerPlaces:
        """Return the folders of a server; its name is too long to be in a socket's path."""
        digest = hashlib.sha256(server.encode()).hexdigest()[:_DIGEST_CHARS]
        return ServerPlaces(
            folder=self.servers_dir / digest,
            runs_dir=self.data_dir / "runs" / location,
            home=self.data_dir / "homes" / location,
        )

    def for_engine(self, path: Path) -> str:
        """Return a path below the data folder as the engine's machine has it."""
        return str(self.engine_data_dir / path.relative_to(self.data_dir))

    def check(self, spec: ServerSpec, *, places: ServerPlaces) -> None:
        """Hold a spec to the one place where containers write attempts, and keep it off all that is the agent's.

        Raises:
            DataFolderUnfitError: it has another place, or mounts the data folder, which holds passwords.
        """
        if any(self._is_own(mount) for mount in spec.container.mounts):
            raise DataFolderUnfitError(path=str(self.data_dir), problem="no container may mount it")
        if spec.runs_dir != places.runs_dir:
            problem = f"attempts of {spec.location} are looked for in {spec.runs_dir}, not below it"
            raise DataFolderUnfitError(path=str(self.data_dir), problem=problem)

    def _is_own(self, mount: Mount) -> bool:
        if not mount.is_host_path:
            return bool(self.volume) and mount.source == self.volume
        source = Path(os.path.normpath("/" + mount.source.lstrip("/")))
        return source.is_relative_to(self.engine_data_dir) or self.engine_data_dir.is_relative_to(source)


def own_container() -> str:
    """Return the id of the container that this process is in; empty for none."""
    return container_in(_MOUNTS_FILE.read_text())


async def find_places(engine: Engine, *, data_dir: Path, container: str) -> Places:
    """Find out where the engine's machine has the agent's data folder.

    Args:
        engine: where the agent's own container is looked up, if it is in one.
        data_dir: the folder as the agent sees it.
        container: the agent's own container; empty for an agent that is in none.

    Raises:
        DataFolderUnfitError: the agent is in a container, and its data folder is not on a volume.
    """
    if not container:
        return Places(data_dir, data_dir)
    own = await engine.inspect(container)
    if own is None:
        problem = (
            f"the engine knows no container {container}, and so not where this folder lies. Set ISTHMUS_AGENT_CONTAINER to "
            "the name of the agent's container"
        )
        raise DataFolderUnfitError(path=str(data_dir), problem=problem)
    mount = mount_of(data_dir, mounts=own.mounts)
    if mount is None:
        problem = "it is inside the agent's container, where no other sees it. Put a named volume or a bind mount there"
        raise DataFolderUnfitError(path=str(data_dir), problem=problem)
    found = Path(mount.source) / data_dir.relative_to(mount.destination)
    return Places(data_dir, found, mount.volume)


def container_in(mountinfo: str) -> str:
    """Return the id of the container that a process is in, by what /proc tells of its mounts; empty for none."""
    found = _CONTAINER_ID.search(mountinfo)
    return found[1] if found else ""


def mount_of(path: Path, *, mounts: tuple[ContainerMount, ...]) -> ContainerMount | None:
    """Return the mount that a path of a container is on; None when it is on the container's own root."""
    holding = [mount for mount in mounts if mount.source and path.is_relative_to(mount.destination)]
    return max(holding, key=lambda mount: len(Path(mount.destination).parts), default=None)


def clear_shared(folder: Path) -> None:
    """Remove what a container saw of a server's folder: its configuration with the broker's password, its socket."""
    shutil.rmtree(folder / _SHARED, ignore_errors=True)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
