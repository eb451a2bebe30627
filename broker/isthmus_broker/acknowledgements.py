"""Acknowledges deliveries of one channel together: what is due at one moment is one word to the broker, where that can be."""

import asyncio

from isthmus_broker.delivery import Delivery
from isthmus_broker.settlement import Settlement


class Acknowledgements:
    """The unsettled deliveries of one queue, over one connection.

    In a burst a word for each costs the process more than the deliveries themselves.
    """

    def __init__(self) -> None:
        """Begin with none."""
        #: In the order of their tags.
        self._open: dict[int, Delivery] = {}
        self._due: set[int] = set()
        self._is_telling = False

    @property
    def is_empty(self) -> bool:
        """Whether everything is settled."""
        return not self._open

    def note(self, delivery: Delivery) -> None:
        """Take notice of a delivery; to be called in the order in which they come."""
        self._open[delivery.tag] = delivery

    async def settle(self, delivery: Delivery, settlement: Settlement) -> None:
        """Settle a delivery; an acknowledgement may be told by whoever is at it already."""
        if settlement is Settlement.ACK:
            self._due.add(delivery.tag)
            if not self._is_telling:
                await self._tell()
            return
        # It stays in the way of the later ones until the broker knows: they would be acknowledged with it. What is returned
        # stays for good.
        await delivery.settle(settlement)
        if settlement is not Settlement.RETURN:
            self._open.pop(delivery.tag, None)

    async def _tell(self) -> None:
        self._is_telling = True
        try:
            while self._due:
                # Others become due in the same moment.
                await asyncio.sleep(0)
                await self._tell_due()
        finally:
            self._is_telling = False

    async def _tell_due(self) -> None:
        last = None
        for tag in list(self._open):
            if tag not in self._due:
                break
            last = self._take(tag)
        rest = [self._take(tag) for tag in sorted(self._due)]
        if last is not None:
            await last.settle(Settlement.ACK, with_earlier=True)
        for delivery in rest:
            await delivery.settle(Settlement.ACK)

    def _take(self, tag: int) -> Delivery:
        self._due.discard(tag)
        return self._open.pop(tag)
