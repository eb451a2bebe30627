"""Notices: the monitor tells control planes what has changed in the store, so that nobody needs to poll.

A notice is a wake-up, never the truth: it may be lost or come twice, and who hears it reads the store.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from aio_pika.abc import AbstractIncomingMessage
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_broker.listener import Hearing, Listener
from isthmus_broker.publisher import OutgoingMessage, Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.topology import NOTICES

log = get_logger(__name__)


@dataclass(frozen=True)
class Notice:
    """What has changed: run ids, agents and locations as ``deployment/name``, and deployments of which runs ended."""

    runs: frozenset[str] = field(default_factory=frozenset)
    agents: frozenset[str] = field(default_factory=frozenset)
    locations: frozenset[str] = field(default_factory=frozenset)
    #: Deployments in which runs ended: others may leave the queue.
    freed: frozenset[str] = field(default_factory=frozenset)

    def __bool__(self) -> bool:
        return bool(self.runs or self.agents or self.locations or self.freed)

    def __or__(self, other: "Notice") -> "Notice":
        return Notice(
            self.runs | other.runs,
            self.agents | other.agents,
            self.locations | other.locations,
            self.freed | other.freed,
        )

    def to_bytes(self) -> bytes:
        """Return the notice as JSON."""
        return json.dumps({name: sorted(values) for name, values in asdict(self).items()}).encode()

    @classmethod
    def from_bytes(cls, body: bytes) -> "Notice":
        """Return the notice that the bytes are; what makes no sense says nothing."""
        try:
            parsed = json.loads(body)
            names = ("runs", "agents", "locations", "freed")
            return cls(*(frozenset(map(str, parsed.get(name, ()))) for name in names))
        except (ValueError, AttributeError, TypeError, RecursionError):
            log.warning("notice_malformed", size=len(body))
            return cls()


class NoticePublisher:
    """Publishes notices."""

    def __init__(self, publisher: Publisher) -> None:
        """Publish over `publisher`, which the caller enters and leaves."""
        self._publisher = publisher

    async def publish(self, notice: Notice) -> None:
        """Publish a notice to whoever listens. Raises what `Publisher.publish` raises."""
        await self._publisher.publish(
            OutgoingMessage(NOTICES, "", notice.to_bytes(), content_type="application/json", is_mandatory=False)
        )


class NoticeListener(Listener):
    """Hears notices while `run` goes on."""

    def __init__(self, settings: BrokerSettings, *, on_notice: Callable[[Notice], None]) -> None:
        """Call `on_notice` for each notice, and with an empty one after each (re)connect: anything may have changed."""
        super().__init__(settings, Hearing(NOTICES, "", self._receive, on_listening=lambda: on_notice(Notice())))
        self._on_notice = on_notice
        self._boundary = Boundary("notice")

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        with self._boundary.guard(size=len(message.body)):
            self._on_notice(Notice.from_bytes(message.body))
