"""Whether this process is the agent of its name: the broker lets one at a time consume the name's queues.

Two processes of one name, with folders of their own, would execute the same attempts. The second is refused by the broker and
stands by: it starts nothing and says nothing in the name of the first, and takes over when the first is gone.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_broker.publisher import Publisher
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TelemetryKind

from isthmus_agent.errors import IdentityNotHeldError

#: How long a connection of this process's own that broke may be taken for alive by the broker, seconds: several AMQP
#: heartbeats. Only a refusal that lasts longer is another process's doing.
GHOST_S: Final = 45.0


class Holder:
    """Holds the agent's name, or waits for it."""

    def __init__(self, name: str, *, ghost_s: float = GHOST_S) -> None:
        """Begin without it; what is refused for longer than `ghost_s` is another process's."""
        self._name = name
        self._ghost_s = ghost_s
        self._held = asyncio.Event()
        self._refused = asyncio.Event()

    @property
    def is_held(self) -> bool:
        """Whether the name is this process's now, as far as the broker has said."""
        return self._held.is_set()

    @property
    def is_refused(self) -> bool:
        """Whether the broker said at the last try that somebody else has the name."""
        return self._refused.is_set()

    def note_held(self) -> None:
        """Note that the broker delivers the name's instructions to this process, and to no other."""
        self._refused.clear()
        self._held.set()

    def note_lost(self) -> None:
        """Note that it does not any more; somebody else may have the name from now on."""
        self._held.clear()

    def note_refused(self) -> None:
        """Note that somebody else has the name, or that the broker has not noticed yet that we were gone."""
        self._refused.set()

    def check(self) -> None:
        """Do nothing where the name is ours.

        Raises:
            IdentityNotHeldError: It is not.
        """
        if not self.is_held:
            raise IdentityNotHeldError(agent=self._name)

    async def wait_held(self) -> None:
        """Wait until the name is ours."""
        await self._held.wait()

    async def wait_taken(self) -> None:
        """Wait until the name has been refused to us for so long that another process must have it."""
        while True:
            await self._refused.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._ghost_s):
                    await self._held.wait()
            if not self.is_held:
                return


class IdentityPublisher(TelemetryPublisher):
    """Publishes in the agent's name for as long as it is this process's.

    Every method raises IdentityNotHeldError, a transient error like a broker that is away, while it is not.
    """

    def __init__(self, publisher: Publisher, *, source: telemetry.Source, holder: Holder) -> None:
        """Publish over `publisher`, which the caller enters and leaves."""
        super().__init__(publisher, source=source)
        self._holder = holder

    async def wait_connected(self) -> None:
        """Wait until there is a connection to publish on, and the name is ours."""
        await super().wait_connected()
        await self._holder.wait_held()

    async def publish(self, kind: TelemetryKind, events: Sequence[telemetry.Event]) -> None:
        """Publish events as one batch and wait for the confirm."""
        self._holder.check()
        await super().publish(kind, events)

    async def answer(self, reply_to: str, event: telemetry.Event) -> None:
        """Publish the answer to a question."""
        self._holder.check()
        await super().answer(reply_to, event)
