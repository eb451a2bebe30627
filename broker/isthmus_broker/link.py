"""Keeps a connection to the broker: back-off and jitter between tries, and a watchdog that speaks up.

aio-pika's robust connection reconnects at a fixed pace, in silence, and restores channels one declaration at a time, so
that one queue whose arguments no longer match stops all of them. Here a lost connection ends a *session*, and the next
session is built from nothing: what was consumed before is redelivered by the broker, what was not confirmed is unknown.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPError, AuthenticationError, ChannelInvalidStateError, ProbableAuthenticationError
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.boundary import Boundary, cancellations, heed_cancellation
from isthmus_lifecycle.log import get_logger
from yarl import URL

from isthmus_broker.errors import QueueHeldError
from isthmus_broker.settings import BrokerSettings

log = get_logger(__name__)

#: What a broken connection or channel raises, in this process or at the other end.
LINK_ERRORS = (AMQPError, ChannelInvalidStateError, OSError, asyncio.IncompleteReadError, TimeoutError)


@contextmanager
def naming_losses() -> Iterator[None]:
    """Give a loss its name.

    aiormq fails what was in flight on a channel that is closing with a bare `Exception`, and what is asked of a connection that
    is closed with a bare `RuntimeError`.
    """
    try:
        yield
    except Exception as error:
        if type(error) in (Exception, RuntimeError):
            raise ConnectionError("the channel was closed") from error
        raise


#: Longest wait before another try where this machine itself says that nobody listens, seconds: that costs next to nothing,
#: and a broker that starts beside us is found as soon as it is there.
_LOCAL_WAIT_S = 0.2

Session = Callable[[AbstractConnection, Callable[[], None]], Awaitable[None]]


async def connect(settings: BrokerSettings) -> AbstractConnection:
    """Open one connection that does not reconnect by itself.

    Raises:
        OSError, AMQPError, TimeoutError: there is no broker at that address, or it refuses us.
    """
    url = URL(settings.url)
    if "heartbeat" not in url.query:
        url = url.update_query(heartbeat=settings.heartbeat_s)
    if settings.is_starting:
        await _wait_listening(str(url.host), url.port or 5672)
    async with asyncio.timeout(settings.connect_timeout_s):
        return await aio_pika.connect(url, client_properties={"connection_name": settings.connection_name})


async def _wait_listening(host: str, port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(_LOCAL_WAIT_S)
            continue
        writer.close()
        return


class LossWatch:
    """Becomes true when a connection, one of its channels, or a consumer on them is gone, by whosever hand."""

    def __init__(self, on_loss: Callable[[], None] | None = None) -> None:
        """Watch nothing yet; `on_loss` is called at the first loss, where that is not by our own hand."""
        self._lost = asyncio.Event()
        self._on_first_loss = on_loss
        self._connection: AbstractConnection | None = None

    async def watch(self, *, connection: AbstractConnection, channels: tuple[AbstractChannel, ...]) -> None:
        """Add a connection and its open channels to what is watched."""
        self._connection = connection
        connection.close_callbacks.add(self._on_loss)
        for channel in channels:
            channel.close_callbacks.add(self._on_loss)
            underlay = await channel.get_underlay_channel()
            # A consumer that the broker cancels (its queue was deleted) leaves the channel open, and deaf.
            underlay.on_consumer_cancel_callbacks.add(self._on_loss)

    @property
    def is_lost(self) -> bool:
        """Whether something of it is gone."""
        return self._lost.is_set()

    async def wait(self) -> None:
        """Wait for the first loss."""
        await self._lost.wait()

    def lose(self) -> None:
        """Count as lost what is still there: its session then ends, and the next begins."""
        self._lost.set()
        if self._connection is not None:
            # It may outlive many that watch it.
            self._connection.close_callbacks.discard(self._on_loss)

    def _on_loss(self, *_: object) -> None:
        if self.is_lost:
            return
        self._lost.set()
        if self._on_first_loss is not None:
            self._on_first_loss()


class Link:
    """One connection of a process, kept for one purpose."""

    def __init__(self, settings: BrokerSettings, session: Session) -> None:
        """Prepare a link whose sessions are `session(connection, on_ready)`.

        A session opens its channels, calls `on_ready` once it can do its work, and returns when the connection is lost.
        Whatever it raises counts as the loss of the connection; what is none of `LINK_ERRORS` is logged as unforeseen.
        """
        self._settings = settings
        self._session = session
        self._backoff = Backoff(settings.reconnect_min_s, settings.reconnect_max_s)
        self._boundary = Boundary("broker session")
        self._lost_at: float | None = None
        self._complained_at: float | None = None

    async def run(self) -> NoReturn:
        """Connect, run a session, and begin again when it is over, until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            is_refused, before = False, cancellations()
            with self._boundary.guard(purpose=self._settings.connection_name) as fate:
                try:
                    await self._connect_and_work()
                except (*LINK_ERRORS, QueueHeldError) as error:
                    is_refused = (
                        isinstance(error.__cause__, ConnectionRefusedError) and self._settings.is_on_this_machine
                    )
                    self._complain(error, now=clock())
            # aiormq closes a dying connection and swallows what comes meanwhile.
            heed_cancellation(before, error=fate.error)
            wait_s = self._backoff.next_wait_s()
            await asyncio.sleep(min(wait_s, _LOCAL_WAIT_S) if is_refused else wait_s)

    async def _connect_and_work(self) -> None:
        clock = asyncio.get_running_loop().time
        connection = await connect(self._settings)
        began_at = clock()
        try:
            with naming_losses():
                await self._session(connection, self._on_ready)
        finally:
            await connection.close()
            # A session that dies at once (a missing queue, a refused channel) must not be retried at full speed.
            if clock() - began_at > self._settings.reconnect_max_s:
                self._backoff.reset()

    def _on_ready(self) -> None:
        if self._complained_at is not None:
            log.info("broker_back", purpose=self._settings.connection_name)
        self._lost_at = self._complained_at = None

    def _complain(self, error: BaseException, *, now: float) -> None:
        """Say it when the broker goes away, then again whenever the watchdog's time has passed."""
        facts = {
            "purpose": self._settings.connection_name,
            "broker": self._settings.safe_url,
            "error": str(error) or type(error).__name__,
        }
        if isinstance(error, (AuthenticationError, ProbableAuthenticationError)):
            facts["remedy"] = "check the account and the virtual host in the broker's address"
        if isinstance(error, QueueHeldError):
            self._complain_of_holder(facts, now=now)
        elif self._lost_at is None:
            self._lost_at = self._complained_at = now
            log.warning("broker_unreachable", **facts)
        elif now - (self._complained_at or 0.0) >= self._settings.watchdog_s:
            self._complained_at = now
            log.error("broker_still_unreachable", since_s=round(now - self._lost_at, 1), **facts)

    def _complain_of_holder(self, facts: dict[str, str], *, now: float) -> None:
        """Say that somebody else holds the queue, as often as that the broker is away: it is no trouble of the broker's."""
        if self._complained_at is None or now - self._complained_at >= self._settings.watchdog_s:
            self._complained_at = now
            log.warning("queue_held_elsewhere", **facts)
