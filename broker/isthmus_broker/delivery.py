"""A message that a queue brought: settled once, on the channel that brought it."""

from dataclasses import dataclass

from aiormq.abc import AbstractChannel as UnderlayChannel
from aiormq.abc import DeliveredMessage
from isthmus_lifecycle.log import get_logger

from isthmus_broker.link import LINK_ERRORS, naming_losses
from isthmus_broker.settlement import Settlement

log = get_logger(__name__)


@dataclass(frozen=True)
class Delivery:
    """A message as it came from a queue, and the way to settle it."""

    queue: str
    tag: int
    body: bytes
    exchange: str
    routing_key: str
    #: The account that the broker verified as the sender; None if the sender did not say.
    sender: str | None
    content_encoding: str | None
    headers: dict[str, object]
    is_redelivered: bool
    _channel: UnderlayChannel

    async def settle(self, settlement: Settlement, *, with_earlier: bool = False) -> None:
        """Tell the broker what became of the message, and with `with_earlier` of all unsettled before it.

        A channel that is gone cannot be told: the broker has taken the message back and will deliver it again.
        """
        try:
            with naming_losses():
                await self._tell(settlement, with_earlier=with_earlier)
        except LINK_ERRORS as error:
            log.debug("settlement_lost", queue=self.queue, settlement=settlement.name, error=str(error))

    @property
    def earlier_failures(self) -> int:
        """How often it was delivered before in vain, as the queue counted."""
        count = self.headers.get("x-delivery-count")
        return count if isinstance(count, int) and count > 0 else 0

    async def _tell(self, settlement: Settlement, *, with_earlier: bool) -> None:
        match settlement:
            case Settlement.ACK:
                await self._channel.basic_ack(self.tag, multiple=with_earlier)
            case Settlement.RETRY:
                await self._refuse(is_again=True, with_earlier=with_earlier)
            case Settlement.DEAD_LETTER:
                await self._refuse(is_again=False, with_earlier=with_earlier)
            case Settlement.RETURN:
                pass

    async def _refuse(self, *, is_again: bool, with_earlier: bool) -> None:
        if with_earlier:
            await self._channel.basic_nack(self.tag, multiple=True, requeue=is_again)
        else:
            # Since RabbitMQ 4.3 a nack that requeues is no failure, and counts for no delivery limit; a reject does.
            await self._channel.basic_reject(self.tag, requeue=is_again)


def delivery_of(message: DeliveredMessage, *, queue: str, channel: UnderlayChannel) -> Delivery:
    """Return a message that a queue brought over a channel."""
    properties = message.header.properties
    return Delivery(
        queue=queue,
        tag=message.delivery_tag or 0,
        body=bytes(message.body),
        exchange=message.exchange or "",
        routing_key=message.routing_key or "",
        sender=properties.user_id,
        content_encoding=properties.content_encoding,
        headers=dict(properties.headers or {}),
        is_redelivered=bool(message.redelivered),
        _channel=channel,
    )
