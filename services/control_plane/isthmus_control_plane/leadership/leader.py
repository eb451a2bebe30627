"""One control plane's part in the lease of a work: it seeks the lease, keeps it, writes under it, and gives it back."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from isthmus_lifecycle.boundary import keep_going_until
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.waiting import wait_for
from isthmus_store import leases
from isthmus_store.database import Database
from isthmus_store.errors import LeaseLostError, StoreError, TransientStoreError
from isthmus_store.leases import Lease
from isthmus_store.transaction import WriteTransaction

log = get_logger(__name__)

T = TypeVar("T")

#: The lease of what one control plane alone does: ticks, and removal of what is old.
LEASE: Final = "leader"
#: How many times a lease is renewed in the time that it lasts.
_RENEWALS: Final = 3


class Leadership:
    """The right to do one work, of which at most one process has the use at a time.

    Who believes to have it may be wrong: it stood still, and another took over. So each write of the work goes through
    `write`, which makes sure in the same transaction that the lease still has this holder's number.
    """

    def __init__(
        self,
        database: Database,
        *,
        name: str,
        duration_s: float,
        monotonic: Callable[[], float] = time.monotonic,
        on_taken: Callable[[], None] = lambda: None,
    ) -> None:
        """Name the work; the lease is free again `duration_s` after its holder was heard last.

        `on_taken` is called whenever this process begins to lead, also again when it could not tell for a while.
        """
        self._database = database
        self._name = name
        self._duration_s = duration_s
        self._monotonic = monotonic
        self._on_taken = on_taken
        self._holder = str(uuid.uuid4())
        self._lease: Lease | None = None
        self._held_until = 0.0
        self._number = 0

    @property
    def number(self) -> int:
        """The number of the lease that is held or was held last; 0 before the first."""
        return self._number

    @property
    def is_held(self) -> bool:
        """Whether this process leads, as far as it can know without asking."""
        return self._lease is not None and self._monotonic() < self._held_until

    async def run(self, stopping: asyncio.Event) -> None:
        """Seek and keep the lease until told to stop, and give it back."""
        await keep_going_until(stopping, step=partial(self._turn, stopping), name="leadership")
        await self.resign()

    async def step(self) -> None:
        """Renew the lease, or take it if it is free."""
        # Counted from before the question: the database counts from after it, so that ours ends first.
        asked_at = self._monotonic()
        duration = timedelta(seconds=self._duration_s)
        async with self._database.write() as tx:
            try:
                lease = await self._renewed(tx, duration=duration)
            except LeaseLostError as error:
                self._lose(error)
                lease = None
            if lease is None:
                lease = await leases.acquire(tx, self._name, holder=self._holder, duration=duration)
        if lease is None:
            return
        is_new, was_held = self._lease is None, self.is_held
        self._lease, self._number = lease, lease.number
        self._held_until = asked_at + self._duration_s
        if is_new:
            log.info("lease_taken", lease=self._name, number=lease.number)
        if not was_held:
            # The work stood still meanwhile, and would until the next sweep.
            self._on_taken()

    async def resign(self) -> None:
        """Give the lease back, if it is held: another may take it at once."""
        if self._lease is None:
            return
        try:
            async with self._database.write() as tx:
                await leases.release(tx, self._lease)
        except StoreError as error:
            # It ends by itself.
            log.info("lease_not_released", lease=self._name, problem=str(error))
        self._lease = None

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteTransaction]:
        """Open a transaction of the work.

        Raises:
            LeaseLostError: This process does not lead; nothing was written.
        """
        if self._lease is None or not self.is_held:
            raise LeaseLostError(name=self._name, number=self._lease.number if self._lease else 0)
        async with self._database.write() as tx:
            try:
                await leases.check(tx, self._lease)
            except LeaseLostError as error:
                self._lose(error)
                raise
            yield tx

    async def do(self, step: Callable[[], Awaitable[T]], *, loop: str, otherwise: T) -> T:
        """Do a step of the work's loop while this process leads; returns what came of it.

        Args:
            step: What to do.
            loop: The loop's name, for the log.
            otherwise: What is returned where another leads, or the database could not be asked: the next turn does it then.
        """
        if not self.is_held:
            return otherwise
        try:
            return await step()
        except (LeaseLostError, TransientStoreError) as error:
            log.warning("loop_postponed", loop=loop, error=str(error))
            return otherwise

    async def _turn(self, stopping: asyncio.Event) -> None:
        try:
            await self.step()
        except TransientStoreError as error:
            log.warning("lease_postponed", lease=self._name, problem=str(error))
        await wait_for(stopping, at_most_s=self._duration_s / _RENEWALS)

    async def _renewed(self, tx: WriteTransaction, *, duration: timedelta) -> Lease | None:
        if self._lease is not None:
            await leases.renew(tx, self._lease, duration=duration)
        return self._lease

    def _lose(self, error: LeaseLostError) -> None:
        log.warning("lease_lost", lease=self._name, number=error.number)
        self._lease = None
