"""A private RabbitMQ node on the loopback interface: the embedded broker of `isthmus dev`, the demo and the tests."""

import asyncio
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.private import private_folder

from isthmus_dev.rabbitmq import process as node_process
from isthmus_dev.rabbitmq.account import Account
from isthmus_dev.rabbitmq.errors import NodeBusyError, NodeCommandError, NodeStartError
from isthmus_dev.rabbitmq.layout import Installation, NodeLayout, NodeRecord, find_installation
from isthmus_dev.rabbitmq.process import ProcessIdentity

_log = get_logger(__name__)

_AMQP_GREETING = b"AMQP\x00\x00\x09\x01"
#: Seconds between two looks at the AMQP port while the node starts.
_PROBE_INTERVAL_S = 0.1
#: A command takes a second and a start 4 s; where other work takes all processors, sixty and twenty times that were seen.
_COMMAND_TIMEOUT_S = 240.0
_STARTUP_TIMEOUT_S = 240.0


class PrivateNode:
    """A RabbitMQ server of our own, with its own port mapper; both end with the process that started them.

    Data stays in the folder: started again there, the node has the same name, account and durable queues, though perhaps
    another port. The virtual host is `/`; the plugin `rabbitmq_consistent_hash_exchange` is on. Methods may be called
    from any event loop, one at a time.
    """

    def __init__(self, *, layout: NodeLayout, record: NodeRecord, installation: Installation, account: Account) -> None:
        """Take the parts; `PrivateNode.start` gathers them."""
        self._layout = layout
        self._record = record
        self._installation = installation
        self._account = account
        self._children: list[subprocess.Popen[bytes]] = []

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        data_dir: Path,
        *,
        startup_timeout_s: float = _STARTUP_TIMEOUT_S,
        stop_timeout_s: float = 15.0,
        is_throwaway: bool = False,
    ) -> AsyncIterator[Self]:
        """Start a node, yield it when it answers AMQP, and stop it on leaving.

        Args:
            data_dir: made if it is not there. A node that a dead owner left running in it is stopped first.
            startup_timeout_s: how long the node may take to answer.
            stop_timeout_s: how long an orderly stop may take before SIGKILL.
            is_throwaway: kill the node on leaving instead of stopping it, for data that nobody needs.

        Raises:
            NodeNotInstalledError: there is no RabbitMQ on this machine.
            NodeBusyError: a living process owns the folder.
            NodeStartError: the node ended or did not answer in time.
        """
        async with cls.begun(data_dir, stop_timeout_s=stop_timeout_s, is_throwaway=is_throwaway) as node:
            await node.wait_started(startup_timeout_s=startup_timeout_s)
            yield node

    @classmethod
    @asynccontextmanager
    async def begun(
        cls, data_dir: Path, *, stop_timeout_s: float = 15.0, is_throwaway: bool = False
    ) -> AsyncIterator[Self]:
        """Begin to start a node and yield it at once: its address is known, `wait_started` tells when it answers.

        Args:
            data_dir: made if it is not there. A node that a dead owner left running in it is stopped first.
            stop_timeout_s: how long an orderly stop may take before SIGKILL.
            is_throwaway: kill the node on leaving instead of stopping it, for data that nobody needs.

        Raises:
            NodeNotInstalledError: there is no RabbitMQ on this machine.
            NodeBusyError: a living process owns the folder.
        """
        installation = find_installation()
        layout = NodeLayout.at(data_dir)
        with _owned(layout):
            await _stop_leftover(layout, stop_timeout_s=stop_timeout_s)
            record = (NodeRecord.read(layout.record) or NodeRecord.fresh()).on_free_ports()
            account = Account.for_data(layout.data_dir)
            node = cls(layout=layout, record=record, installation=installation, account=account)
            try:
                node._launch()
                yield node
            finally:
                await (node.kill() if is_throwaway else node.stop(deadline_s=stop_timeout_s))

    @property
    def url(self) -> str:
        """The AMQP address, password included: not for logs."""
        return self._record.url

    def url_of(self, vhost: str) -> str:
        """The AMQP address of a virtual host; the account may do everything in those it was granted."""
        return self._record.url_of(vhost)

    @property
    def port(self) -> int:
        """The AMQP port on 127.0.0.1, the same for as long as this object lives."""
        return self._record.amqp_port

    @property
    def user(self) -> str:
        """The administrator's account."""
        return self._record.user

    @property
    def pid(self) -> int:
        """The server's process number, 0 when it does not run."""
        server = self._record.server
        return server.pid if server and server.is_alive else 0

    @property
    def log_dir(self) -> Path:
        """Where RabbitMQ writes its logs."""
        return self._layout.log_dir

    async def wait_ended(self) -> None:
        """Wait until the server process has ended, for whatever reason."""
        if self._record.server is not None:
            await node_process.wait_gone(self._record.server.pid)

    async def kill(self) -> None:
        """End the node at once, as a power cut would; what was confirmed is still on disk."""
        for identity in (self._record.server, self._record.epmd):
            if identity is not None:
                await node_process.kill(identity)
        self._reap()

    async def stop(self, *, deadline_s: float = 15.0) -> None:
        """Stop the node in order, with SIGKILL after the deadline. Stopping a stopped node is fine."""
        if self._record.server is not None:
            await node_process.stop(self._record.server, deadline_s=deadline_s)
        if self._record.epmd is not None:
            await node_process.kill(self._record.epmd)
        self._reap()

    async def restart(self, *, startup_timeout_s: float = _STARTUP_TIMEOUT_S) -> None:
        """Start the node again on the same port and data, after stopping it if it still runs."""
        await self.stop()
        self._launch()
        await self.wait_started(startup_timeout_s=startup_timeout_s)

    async def control(self, *words: str, stdin: str = "") -> str:
        """Run `rabbitmqctl` on this node and return what it printed; about a second each.

        Raises:
            NodeCommandError: the command failed or took longer than four minutes.
        """
        backoff = Backoff(0.2, 2.0)
        deadline = time.monotonic() + _COMMAND_TIMEOUT_S
        while True:
            try:
                return await asyncio.to_thread(self._control, words, stdin)
            except NodeCommandError as error:
                # A node answers clients a moment before it counts as running; on a busy machine the moment is seconds.
                if not error.is_still_starting or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(backoff.next_wait_s())

    def _control(self, words: tuple[str, ...], stdin: str) -> str:
        command = [str(self._installation.ctl), "--quiet", "-n", "isthmus@localhost", *words]
        if options := self._account.options:
            command = ["setpriv", *options, "--", *command]
        environment = self._layout.environment(self._record)
        try:
            done = subprocess.run(
                command,
                env=environment,
                input=stdin.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_COMMAND_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise NodeCommandError(command=words[0], output=f"no answer in {_COMMAND_TIMEOUT_S} s") from exc
        output = done.stdout.decode(errors="replace").strip()
        if done.returncode != 0:
            raise NodeCommandError(command=words[0], output=output)
        return output

    def _launch(self) -> None:
        self._layout.prepare(self._record, account=self._account, installation=self._installation)
        epmd = self._spawn([str(self._installation.epmd)], die_with_parent=signal.SIGKILL)
        server = self._spawn([str(self._installation.server), "-noinput"], die_with_parent=signal.SIGTERM)
        self._record = replace(self._record, server=server, epmd=epmd, owner_pid=os.getpid())
        self._layout.write(self._record)

    async def wait_started(self, *, startup_timeout_s: float = _STARTUP_TIMEOUT_S) -> None:
        """Wait until the node answers AMQP.

        Raises:
            NodeStartError: it ended, or did not answer in time.
        """
        try:
            async with asyncio.timeout(startup_timeout_s):
                await self._wait_ready()
        except TimeoutError as exc:
            raise self._start_error(f"it did not answer AMQP within {startup_timeout_s:.0f} s") from exc
        _log.info("rabbitmq_started", port=self.port, pid=self.pid, log_dir=str(self.log_dir))

    def _spawn(self, command: list[str], *, die_with_parent: signal.Signals) -> ProcessIdentity | None:
        child = node_process.spawn(
            command,
            env=self._layout.environment(self._record),
            output=self._layout.output,
            setpriv=self._account.options,
            die_with_parent=die_with_parent,
        )
        self._children.append(child)
        return ProcessIdentity.of(child.pid)

    async def _wait_ready(self) -> None:
        while not await _answers_amqp(self.port):
            if self.pid == 0:
                raise self._start_error("its process ended")
            await asyncio.sleep(_PROBE_INTERVAL_S)

    def _start_error(self, problem: str) -> NodeStartError:
        return NodeStartError(problem=problem, log=str(self._layout.output), tail=self._layout.tail())

    def _reap(self) -> None:
        # Both are gone by now, so this returns at once; it only takes the exit codes.
        for child in self._children:
            child.wait()
        self._children.clear()


class _owned:  # noqa: N801 - reads as the statement it is used in
    """Hold a data folder's lock, which the kernel drops when the owner dies."""

    def __init__(self, layout: NodeLayout) -> None:
        private_folder(layout.data_dir)
        self._layout = layout
        self._lock = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            os.close(self._lock)
            record = NodeRecord.read(self._layout.record)
            owner_pid = record.owner_pid if record else None
            raise NodeBusyError(data_dir=str(self._layout.data_dir), owner_pid=owner_pid) from exc

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)


async def _stop_leftover(layout: NodeLayout, *, stop_timeout_s: float) -> None:
    record = NodeRecord.read(layout.record)
    if record is None:
        return
    if record.server is not None:
        await node_process.stop(record.server, deadline_s=stop_timeout_s)
    if record.epmd is not None:
        await node_process.kill(record.epmd)


async def _answers_amqp(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(_AMQP_GREETING)
        return await reader.read(1) == b"\x01"
    except OSError:
        return False
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
