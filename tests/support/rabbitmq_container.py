"""RabbitMQ in a container: what compose.yaml starts, with a port of this machine."""

import asyncio
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

from support.docker import built_image, docker

_START_TIMEOUT_S = 120.0
_COMMAND_TIMEOUT_S = 60.0
_PROBE_INTERVAL_S = 0.1
_AMQP_GREETING = b"AMQP\x00\x00\x09\x01"
_PUBLIC_IMAGE = "rabbitmq:4"
_USER = "isthmus"
#: As compose.yaml has it.
_COMMAND = (
    "rabbitmq-plugins enable --offline rabbitmq_consistent_hash_exchange && exec docker-entrypoint.sh rabbitmq-server"
)


@dataclass(frozen=True)
class RabbitContainer:
    """A RabbitMQ server in a container."""

    name: str
    port: int
    password: str

    @property
    def user(self) -> str:
        return _USER

    def url_of(self, vhost: str) -> str:
        return f"amqp://{_USER}:{self.password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    async def control(self, *words: str, stdin: str = "") -> str:
        """Run `rabbitmqctl` in it. What it is to read comes as a file: from a pipe into a container it reads without end."""
        command = ["rabbitmqctl", *words]
        if stdin:
            command = ["sh", "-c", 'file=$(mktemp) && cat >"$file" && "$@" "$file"', "sh", *command]
        return await asyncio.to_thread(self.run, command, stdin=stdin)

    def run(self, command: Sequence[str], *, stdin: str = "") -> str:
        """Run a command in it and return what it says; it must succeed."""
        done = subprocess.run(
            ["docker", "exec", "--interactive", self.name, *command],
            check=False,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
        )
        assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def wait_ready(self) -> None:
        """Wait until it answers AMQP: the engine's proxy listens long before."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _answers(self.port):
            assert time.monotonic() < deadline, f"RabbitMQ did not start:\n{docker('logs', '--tail', '20', self.name)}"
            time.sleep(_PROBE_INTERVAL_S)


@contextmanager
def rabbitmq_container() -> Iterator[RabbitContainer]:
    """Start RabbitMQ in a container of its own, and remove it on leaving."""
    name, password = f"isthmus-test-rabbitmq-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    account = [f"RABBITMQ_DEFAULT_USER={_USER}", f"RABBITMQ_DEFAULT_PASS={password}"]
    options = ["--detach", "--name", name, "--publish", "127.0.0.1::5672", *(f"--env={each}" for each in account)]
    image = _image()
    try:
        docker("run", *options, image, "sh", "-c", _COMMAND)
        port = int(docker("port", name, "5672/tcp").splitlines()[0].rpartition(":")[2])
        node = RabbitContainer(name=name, port=port, password=password)
        node.wait_ready()
        yield node
    finally:
        docker("rm", "--force", "--volumes", name)


def _image() -> str:
    """The image that `make up` would take: the public one where it can be had, else the stand-in."""
    if named := os.environ.get("RABBITMQ_IMAGE"):
        return named
    stand_in = built_image("rabbitmq").replace("/rabbitmq:", "/debian-rabbitmq:")
    public = docker("image", "ls", "--quiet", _PUBLIC_IMAGE)
    return _PUBLIC_IMAGE if public else stand_in


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(_AMQP_GREETING)
            return connection.recv(1) == b"\x01"
    except OSError:
        return False
