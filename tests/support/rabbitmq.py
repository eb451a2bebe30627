"""A RabbitMQ node of the test session, and a virtual host of its own for each asker.

It is a private node of the installed server, or with ISTHMUS_TEST_BROKER=container one in a container: a newer RabbitMQ.
"""

import asyncio
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from isthmus_dev.rabbitmq.node import PrivateNode

from support.rabbitmq_container import rabbitmq_container

#: `rabbitmqctl` costs 0.4 s a call and 15 ms a virtual host, so they are made in growing batches.
_FIRST_BATCH = 4
_LARGEST_BATCH = 32


class Node(Protocol):
    """A RabbitMQ server, wherever it runs."""

    @property
    def user(self) -> str: ...

    def url_of(self, vhost: str) -> str: ...

    async def control(self, *words: str, stdin: str = "") -> str:
        """Run `rabbitmqctl` on it."""
        ...


class Rabbit:
    """The session's node. Its methods block, so that fixtures of any kind and loop may use them."""

    def __init__(self, *, node: Node, runner: asyncio.Runner) -> None:
        self.node = node
        self._runner = runner
        self._unused: list[str] = []
        self._batch = _FIRST_BATCH

    def take_url(self) -> str:
        """The address of an empty virtual host that nobody else was given."""
        if not self._unused:
            self._unused = self._make_vhosts(self._batch)
            self._batch = min(self._batch * 2, _LARGEST_BATCH)
        return self.node.url_of(self._unused.pop())

    def _make_vhosts(self, count: int) -> list[str]:
        names = [f"test-{secrets.token_hex(4)}" for _ in range(count)]
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        definitions = {
            "vhosts": [{"name": name} for name in names],
            "permissions": [{"user": self.node.user, "vhost": name, **everything} for name in names],
        }
        self._runner.run(self.node.control("import_definitions", stdin=json.dumps(definitions)))
        return names


@contextmanager
def session_rabbitmq() -> Iterator[Rabbit]:
    """Start the kind of node that the environment names, and take it away on leaving."""
    kind = os.environ.get("ISTHMUS_TEST_BROKER") or "private"
    assert kind in {"private", "container"}, f"ISTHMUS_TEST_BROKER={kind}: write private or container"
    with containered_rabbitmq() if kind == "container" else private_rabbitmq() as rabbit:
        yield rabbit


@contextmanager
def containered_rabbitmq() -> Iterator[Rabbit]:
    """Start a node in a container, and remove it on leaving."""
    with rabbitmq_container() as node, asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield Rabbit(node=node, runner=runner)


@contextmanager
def private_rabbitmq() -> Iterator[Rabbit]:
    """Start a node in a new folder, and kill it and remove the folder on leaving."""
    with (
        tempfile.TemporaryDirectory(prefix="isthmus-rabbitmq-", ignore_cleanup_errors=True) as folder,
        # A loop factory keeps this runner from changing the thread's current loop, which belongs to the tests.
        asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner,
    ):
        stack = AsyncExitStack()
        node = runner.run(stack.enter_async_context(PrivateNode.start(Path(folder), is_throwaway=True)))
        try:
            yield Rabbit(node=node, runner=runner)
        finally:
            runner.run(stack.aclose())
