"""The broker of `isthmus dev`: a private node, or one that the user has."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from isthmus_dev.disk import DiskWatch, check_disk
from isthmus_dev.errors import DevError, PartDiedError
from isthmus_dev.rabbitmq.node import PrivateNode
from isthmus_dev.screen import Screen
from isthmus_dev.settings import DevSettings

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Broker:
    """A broker that runs, or begins to."""

    url: str
    #: What is said of it; without the password.
    text: str
    #: Returns once it serves; raises why it does not.
    wait_started: Callable[[], Awaitable[None]]


@asynccontextmanager
async def open_broker(settings: DevSettings, *, screen: Screen) -> AsyncIterator[Broker]:
    """Yield the broker as soon as its address is known; a private one is stopped on leaving.

    Raises:
        DiskFullError: There is too little room for a private one.
        PartDiedError: The private node ended by itself.
        NodeError: It cannot be started.
    """
    if settings.broker_url:
        yield _foreign(settings.broker_url)
        return
    check_disk(settings.folder.path)
    disk = DiskWatch(settings.folder.path, screen)
    async with PrivateNode.begun(settings.folder.broker_dir) as node, _watched(node, disk) as watch:
        text = f"private RabbitMQ on port {node.port}"
        yield Broker(node.url, text, watch.wait_started)
        watch.is_over = True
        with screen.step("broker"):
            await node.stop()


def _foreign(url: str) -> Broker:
    from isthmus_broker.publisher import Publisher
    from isthmus_broker.settings import BrokerSettings

    broker = BrokerSettings(url=url)

    async def reach() -> None:
        """Find out now that the broker is not there: services would wait for it without end."""
        async with Publisher(broker) as publisher:
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    await publisher.wait_connected()
            except TimeoutError as error:
                raise DevError(
                    f"The broker {broker.safe_url} does not let us in within {_TIMEOUT_S:g} s.",
                    remedy="Check --broker-url (or ISTHMUS_BROKER_URL); without it, a private RabbitMQ is started.",
                ) from error

    return Broker(url, broker.safe_url, reach)


@dataclass
class _Watch:
    """Waits for a node's start, then for its end."""

    node: PrivateNode
    is_over: bool = False
    _started: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_started(self) -> None:
        await self.node.wait_started()
        self._started.set()

    async def run(self) -> None:
        await self._started.wait()
        await self.node.wait_ended()
        if not self.is_over:
            raise PartDiedError("broker", reason="RabbitMQ ended by itself", log_file=str(self.node.log_dir))


@asynccontextmanager
async def _watched(node: PrivateNode, disk: DiskWatch) -> AsyncIterator[_Watch]:
    """Fail when the node ends, once it has started, before that is said to be in order; look after its disk."""
    async with asyncio.TaskGroup() as group:
        watch = _Watch(node)
        watching = (group.create_task(watch.run()), group.create_task(disk.run()))
        yield watch
        for task in watching:
            task.cancel()
