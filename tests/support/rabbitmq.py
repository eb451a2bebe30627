"""A private RabbitMQ node of the test session, and a virtual host of its own for each asker."""

import asyncio
import json
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from isthmus_broker.node import PrivateNode

#: `rabbitmqctl` costs 0.4 s a call and 15 ms a virtual host, so they are made in growing batches.
_FIRST_BATCH = 4
_LARGEST_BATCH = 32


class Rabbit:
    """The session's node. Its methods block, so that fixtures of any kind and loop may use them."""

    def __init__(self, *, node: PrivateNode, runner: asyncio.Runner) -> None:
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
