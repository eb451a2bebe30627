"""Where a private RabbitMQ node lives: its installation, its files, its ports."""

import json
import os
import secrets
import shutil
import socket
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import SystemRandom

from isthmus_dev.rabbitmq import plugin
from isthmus_dev.rabbitmq.account import Account
from isthmus_dev.rabbitmq.errors import NodeNotInstalledError
from isthmus_dev.rabbitmq.process import ProcessIdentity

_USER = "isthmus"
#: Below the range that Linux hands to outgoing connections, so that none of those takes a port between two starts.
_PORTS = range(21_000, 32_000)
#: Bytes that the processes may have printed before the next start begins a new file, and those of a crash dump.
_OUTPUT_BYTES = 1024 * 1024
_CRASH_DUMP_BYTES = 10 * 1024 * 1024
_PROGRAM_FOLDERS = ("/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin", "/usr/local/sbin", "/usr/sbin")
#: With less free space a node takes no message.
DISK_LIMIT_BYTES = 50_000_000
_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{amqp_port}
default_user = {user}
default_pass = {password}
default_user_tags.administrator = true
loopback_users = none
log.console = false
log.file.level = info
log.file.rotation.size = 10485760
log.file.rotation.count = 3
# A small node: the default write-ahead log of quorum queues takes up to 512 MB of memory before it is rolled over.
raft.wal_max_size_bytes = 33554432
disk_free_limit.absolute = {disk_limit}
"""


@dataclass(frozen=True)
class Installation:
    """The programs of the RabbitMQ that is installed."""

    server: Path
    ctl: Path
    epmd: Path

    @property
    def plugins(self) -> Path:
        """Where the applications lie that it is made of, and those that may be enabled."""
        return self.server.resolve().parent.parent / "plugins"


def find_installation() -> Installation:
    """Find RabbitMQ's own scripts, not a distribution's wrapper, which insists on its own account.

    Raises:
        NodeNotInstalledError: RabbitMQ, Erlang's port mapper or setpriv is not there.
    """
    epmd = shutil.which("epmd")
    for program, found in (("epmd", epmd), ("setpriv", shutil.which("setpriv"))):
        if found is None:
            raise NodeNotInstalledError(program=program)
    folders = [Path(folder) for folder in _PROGRAM_FOLDERS]
    if on_path := shutil.which("rabbitmq-server"):
        folders.insert(0, Path(on_path).resolve().parent)
    for folder in folders:
        if (folder / "rabbitmq-server").is_file() and (folder / "rabbitmq-defaults").is_file():
            return Installation(server=folder / "rabbitmq-server", ctl=folder / "rabbitmqctl", epmd=Path(str(epmd)))
    raise NodeNotInstalledError(program="rabbitmq-server")


@dataclass(frozen=True)
class NodeRecord:
    """What a node keeps between two starts, in `node.json`."""

    amqp_port: int
    dist_port: int
    epmd_port: int
    password: str
    cookie: str
    server: ProcessIdentity | None = None
    epmd: ProcessIdentity | None = None
    owner_pid: int | None = None

    @classmethod
    def fresh(cls) -> "NodeRecord":
        """Make the record of a node that never ran."""
        return cls(
            amqp_port=0, dist_port=0, epmd_port=0, password=secrets.token_urlsafe(24), cookie=secrets.token_hex(24)
        ).on_free_ports()

    @classmethod
    def read(cls, path: Path) -> "NodeRecord | None":
        """Read the record of an earlier start, None when there was none."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        for name in ("server", "epmd"):
            fields[name] = ProcessIdentity(**fields[name]) if fields[name] else None
        return cls(**fields)

    def on_free_ports(self) -> "NodeRecord":
        """Keep the ports that are free, and replace the others."""
        amqp_port = _free_port(preferred=self.amqp_port)
        dist_port = _free_port(preferred=self.dist_port, taken={amqp_port})
        epmd_port = _free_port(preferred=self.epmd_port, taken={amqp_port, dist_port})
        return replace(self, amqp_port=amqp_port, dist_port=dist_port, epmd_port=epmd_port)

    @property
    def url(self) -> str:
        """The AMQP address of the default virtual host."""
        return self.url_of("/")

    def url_of(self, vhost: str) -> str:
        """The AMQP address of one virtual host, with the administrator's account."""
        path = "" if vhost == "/" else vhost
        return f"amqp://{_USER}:{self.password}@127.0.0.1:{self.amqp_port}/{path}"

    @property
    def user(self) -> str:
        """The name of the administrator's account."""
        return _USER


def _free_port(*, preferred: int, taken: Collection[int] = ()) -> int:
    random = SystemRandom()
    candidates = [port for port in (preferred,) if port] + random.sample(_PORTS, 200)
    for port in candidates:
        if port not in taken and _is_free(port):
            return port
    message = "No free port on the loopback interface."
    raise OSError(message)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class NodeLayout:
    """The files of one node, all below its data folder."""

    data_dir: Path

    @classmethod
    def at(cls, data_dir: Path) -> "NodeLayout":
        """Take a folder by its absolute path, for the node's processes have another working directory."""
        return cls(data_dir.resolve())

    @property
    def record(self) -> Path:
        """What is kept between two starts."""
        return self.data_dir / "node.json"

    @property
    def lock(self) -> Path:
        """Held by the owner for as long as it lives."""
        return self.data_dir / "lock"

    @property
    def output(self) -> Path:
        """What the processes print: little, unless they fail to start."""
        return self.data_dir / "output"

    @property
    def log_dir(self) -> Path:
        """RabbitMQ's own logs."""
        return self.data_dir / "log"

    @property
    def home(self) -> Path:
        """HOME of the node's processes: the Erlang cookie is there."""
        return self.data_dir / "home"

    def write(self, record: NodeRecord) -> None:
        """Write the record, readable by its owner alone."""
        scratch = self.record.with_suffix(".new")
        _write_private(scratch, json.dumps(asdict(record), indent=1))
        scratch.replace(self.record)

    @property
    def plugins(self) -> Path:
        """The applications that the node needs, as links."""
        return self.data_dir / "plugins"

    @property
    def installation(self) -> Path:
        """What the node's scripts take for the installation: its programs, and of its applications those that are needed."""
        return self.data_dir / "installation"

    def prepare(self, record: NodeRecord, *, account: Account, installation: Installation) -> None:
        """Make the folders and the configuration for one start."""
        for folder in (self.home, self.log_dir, self.data_dir / "mnesia", self.data_dir / "etc"):
            folder.mkdir(parents=True, exist_ok=True)
        _write_private(self.home / ".erlang.cookie", record.cookie, mode=0o400)
        _write_private(self.data_dir / "etc/enabled_plugins", f"[{','.join(plugin.ENABLED)}].")
        plugin.link_applications(self.plugins, plugin.needed_applications(installation.plugins))
        plugin.link(
            self.installation,
            {
                "bin": installation.server.parent,
                "escript": installation.plugins.parent / "escript",
                "plugins": self.plugins,
            },
        )
        configuration = _CONFIGURATION.format(
            amqp_port=record.amqp_port, user=record.user, password=record.password, disk_limit=DISK_LIMIT_BYTES
        )
        _write_private(self.data_dir / "etc/rabbitmq.conf", configuration)
        self._begin_output()
        account.own(self.data_dir)
        self.write(record)

    def _begin_output(self) -> None:
        """Keep what the processes of the last starts printed, and of those before nothing."""
        if self.output.exists() and self.output.stat().st_size > _OUTPUT_BYTES:
            self.output.replace(self.output.with_suffix(".old"))
        self.output.touch()

    def environment(self, record: NodeRecord) -> dict[str, str]:
        """Make the environment of the node's processes; nothing is inherited but PATH, for RABBITMQ_* would leak in."""
        etc = self.data_dir / "etc"
        few = {
            "RABBITMQ_PLUGINS_DIR": str(self.plugins),
            # Erlang looks for each module in folder after folder, and the scripts name it those of the whole installation.
            "RABBITMQ_SCRIPTS_DIR": str(self.installation / "bin"),
        }
        return {
            **(few if any(self.plugins.glob("*")) else {}),
            "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": "isthmus@localhost",
            "RABBITMQ_NODE_PORT": str(record.amqp_port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(record.dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.data_dir / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.log_dir),
            "RABBITMQ_CONFIG_FILE": str(etc / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(etc / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(etc / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.data_dir / "rabbit.pid"),
            "RABBITMQ_ALLOW_INPUT": "1",
            # One scheduler that does not spin: the node shares the machine with the work it carries messages for.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
            # Else its one scheduler keeps to the first processor, as those of all other nodes here do.
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
            # Ours runs already; Erlang's own attempts would only leave orphans to whoever reaps here.
            "ERL_FLAGS": "-start_epmd false",
            "ERL_EPMD_PORT": str(record.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # The dump of a node that crashes is as large as its memory was.
            "ERL_CRASH_DUMP_BYTES": str(_CRASH_DUMP_BYTES),
        }

    def tail(self, *, lines: int = 15) -> str:
        """The last lines that the node printed or logged."""
        files = [path for path in [*self.log_dir.glob("*.log"), self.output] if path.is_file()]
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
        return "\n".join("\n".join(texts).strip().splitlines()[-lines:])


def _write_private(path: Path, text: str, *, mode: int = 0o600) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
