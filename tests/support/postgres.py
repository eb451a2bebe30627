"""A private PostgreSQL server: own folder, own port, by default no durability, and a database per asker."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROGRAM_FOLDERS = "/usr/lib/postgresql/*/bin"
_START_TIMEOUT_S = 30.0
_CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "64MB",
    "listen_addresses": "127.0.0.1",
}


class PostgresMissingError(Exception):
    """PostgreSQL is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "PostgreSQL is not installed, and the tests run on the real thing: `make test` installs it, "
            "or by hand: apt-get install postgresql"
        )


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    port: int
    password: str
    programs: Path

    def create_database(self) -> str:
        """Make an empty database and return its SQLAlchemy address."""
        name = f"test_{secrets.token_hex(6)}"
        self._psql(f"CREATE DATABASE {name}")
        return f"postgresql+asyncpg://isthmus:{self.password}@127.0.0.1:{self.port}/{name}"

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self._psql(f"DROP DATABASE {url.rsplit('/', 1)[1]} WITH (FORCE)")

    def _psql(self, statement: str) -> None:
        command = [str(self.programs / "psql"), "-X", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "isthmus"]
        environment = {"PATH": os.environ["PATH"], "PGPASSWORD": self.password}
        subprocess.run([*command, "-d", "postgres", "-c", statement], env=environment, check=True, timeout=30)


@dataclass
class PostgresNode:
    """A private server that a test may stop and start again, with what is in it."""

    server: Postgres
    base: Path
    durability: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = _start(self.server, base=self.base, durability=self.durability)
        _wait_ready(self.process, port=self.server.port, programs=self.server.programs, output=self.base / "output")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT is PostgreSQL's fast shutdown, which ends all transactions; SIGQUIT its immediate one."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=20)

    def restart(self) -> None:
        """Do what an administrator does who restarts the service."""
        self.stop()
        self.start()


@contextmanager
def private_postgres(*, is_durable: bool = False) -> Iterator[Postgres]:
    """Start a server in a new folder, and end it and remove the folder on leaving.

    With `is_durable` a commit is on the disk when it returns, as everywhere else; tests do without.
    """
    with postgres_node(is_durable=is_durable) as node:
        yield node.server


@contextmanager
def postgres_node(*, is_durable: bool = False) -> Iterator[PostgresNode]:
    """Do the same, for who is going to restart it."""
    with tempfile.TemporaryDirectory(prefix="isthmus-postgres-", ignore_cleanup_errors=True) as folder:
        base = Path(folder)
        server = Postgres(port=_free_port(), password=secrets.token_urlsafe(16), programs=_find_programs())
        _initialise(server, base=base)
        node = PostgresNode(server, base, {} if is_durable else _CARELESS)
        try:
            node.start()
            yield node
        finally:
            # Nobody needs the data.
            node.stop(signal.SIGQUIT)


def _initialise(server: Postgres, *, base: Path) -> None:
    (base / "password").write_text(server.password, encoding="utf-8")
    if account := _unprivileged_account():
        for path in (base, base / "password"):
            shutil.chown(path, account, account)
    access = ["-U", "isthmus", "-A", "scram-sha-256", f"--pwfile={base}/password"]
    command = [f"{server.programs}/initdb", "-D", str(base / "data"), *access, "-N", "-E", "UTF8", "--locale=C"]
    done = subprocess.run([*_prefix(), *command], cwd=base, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def _start(server: Postgres, *, base: Path, durability: Mapping[str, str]) -> subprocess.Popen[bytes]:
    settings = {**_SETTINGS, **durability, "port": str(server.port), "unix_socket_directories": str(base)}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    command = [f"{server.programs}/postgres", "-D", str(base / "data"), *options]
    with (base / "output").open("wb") as output:
        return subprocess.Popen([*_prefix(), *command], cwd=base, stdout=output, stderr=output)


def _find_programs() -> Path:
    folders = sorted(Path("/").glob(_PROGRAM_FOLDERS.removeprefix("/")), key=lambda path: int(path.parent.name))
    if folders:
        return folders[-1]
    on_path = shutil.which("initdb")
    if on_path is None:
        raise PostgresMissingError
    return Path(on_path).resolve().parent


def _unprivileged_account() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _prefix() -> Sequence[str]:
    """Start under the right account, and let the server go down with a test session that was killed."""
    change = []
    if account := _unprivileged_account():
        entry = pwd.getpwnam(account)
        change = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    return ["setpriv", *change, "--pdeathsig", "QUIT", "--"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_ready(server: subprocess.Popen[bytes], *, port: int, programs: Path, output: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    probe = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(probe, check=False, timeout=10).returncode != 0:
        can_still_come = server.poll() is None and time.monotonic() < deadline
        assert can_still_come, f"PostgreSQL did not start:\n{output.read_text()}"
        time.sleep(0.05)
