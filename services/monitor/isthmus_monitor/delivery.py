"""The loop that brings alerts to their receivers, and writes those that nobody else wrote."""

import asyncio
import os
import random
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from isthmus.v1.control_plane_pb2 import AlertPolicy, AlertReceiver
from isthmus_lifecycle.boundary import Boundary, keep_going
from isthmus_lifecycle.log import get_logger
from isthmus_store import alert_policies, alerts
from isthmus_store.alert_receiver import endpoint_of, receivers_of
from isthmus_store.database import Database
from isthmus_store.errors import TransientStoreError
from isthmus_store.record.alert import AlertDelivery, AlertPolicyRow

from isthmus_monitor import alert
from isthmus_monitor.errors import WebhookError
from isthmus_monitor.posting import Posting
from isthmus_monitor.receiver import Errand, written
from isthmus_monitor.webhook import Webhook, next_attempt_at

if TYPE_CHECKING:
    from isthmus_monitor.courier import Courier

_log = get_logger(__name__)

#: The longest sleep, seconds. Runs that the control plane gives up, and alerts of other monitors, are noticed so late.
_LONGEST_SLEEP_S: Final = 5.0
#: How far back runs are looked for that failed without an alert: a monitor may have been away that long.
_LOOK_BACK: Final = timedelta(hours=24)
#: The wait after a database failure, seconds.
_RETRY_S: Final = 1.0
#: Receivers that are served at once.
_LANES: Final = 64
#: Alerts that one receiver is brought before others may have its lane.
_A_LANE: Final = 20
#: For so long no other monitor sends what one is at: longer than a try may take.
_CLAIM: Final = timedelta(seconds=45)
#: Processes that send at once.
_CHILDREN: Final = 16


def utc_now() -> datetime:
    """Return the time of day, for what is stored."""
    return datetime.now(UTC)


class AlertSender:
    """Knows the receivers, and delivers what is due to them."""

    def __init__(
        self, database: Database, *, webhooks: Iterable[Webhook], clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._database = database
        self._webhooks = {webhook.endpoint: webhook for webhook in webhooks}
        self._clock = clock
        self._wake = asyncio.Event()
        #: Receivers that are being served.
        self._busy: set[str] = set()
        self._boundary = Boundary("alert delivery")

    def endpoints_for(self, kind: str) -> list[str]:
        """Return the keys of the receivers that want this kind of alert."""
        return [endpoint for endpoint, webhook in self._webhooks.items() if webhook.wants(kind)]

    def wake(self) -> None:
        """Look for due deliveries now: one was just written."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled. A delivery that is cut off is made again: receivers tell repeats by the id."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as lanes:
            post = Post(stack)
            await keep_going(partial(self._step, lanes, post), name="alerts")

    async def _step(self, lanes: asyncio.TaskGroup, post: "Post") -> None:
        self._wake.clear()
        sleep_s = _RETRY_S
        try:
            await self.tell_failures()
            sleep_s = await self._open_lanes(lanes, post)
        except TransientStoreError as fault:
            _log.warning("alert_delivery_delayed", problem=str(fault))
        await self._sleep(sleep_s)

    async def tell_failures(self) -> None:
        """Write the alerts of runs that failed without telemetry: the control plane gave them up."""
        now = self._clock()
        async with self._database.read() as tx:
            untold = await alerts.untold_failures(tx, kind=alert.RUN_FAILED, since=now - _LOOK_BACK)
        if not untold:
            return
        endpoints = self.endpoints_for(alert.RUN_FAILED)
        async with self._database.write() as tx:
            for run in untold:
                await alerts.add(tx, alert.run_failed(run, at=now), endpoints=endpoints)

    async def _open_lanes(self, lanes: asyncio.TaskGroup, post: "Post") -> float:
        """Have each receiver to which something is due served by itself; returns how long there is nothing to do."""
        room = _LANES - len(self._busy)
        if room <= 0:
            # A lane that ends wakes.
            return _LONGEST_SLEEP_S
        async with self._database.read() as tx:
            endpoints = await alerts.due_endpoints(tx, now=self._clock(), limit=room, besides=self._busy)
            next_due_at = await alerts.next_due_at(tx, besides=self._busy | set(endpoints))
            policies = await alert_policies.all_of(tx) if set(endpoints) - set(self._webhooks) else []
        receivers: dict[str, Webhook | AlertReceiver] = {**_receivers_of(policies), **self._webhooks}
        for endpoint in endpoints:
            self._busy.add(endpoint)
            lanes.create_task(self._lane(endpoint, receivers.get(endpoint), post), name=f"alerts to {endpoint}")
        if next_due_at is None:
            return _LONGEST_SLEEP_S
        return min(_LONGEST_SLEEP_S, max(0.0, (next_due_at - self._clock()).total_seconds()))

    async def _lane(self, endpoint: str, receiver: "Webhook | AlertReceiver | None", post: "Post") -> None:
        """Bring what is due to one receiver, one after another: a receiver that hangs keeps nobody else waiting."""
        try:
            with self._boundary.guard(endpoint=endpoint) as fate:
                async with self._database.read() as tx:
                    due = await alerts.of_lane(tx, endpoint, now=self._clock(), limit=_A_LANE)
                for delivery in due:
                    if not await self._deliver(receiver, delivery, post):
                        # It is still due: it must not be sent in a tight loop.
                        await asyncio.sleep(_RETRY_S)
            if fate.error is not None:
                await asyncio.sleep(_RETRY_S)
        finally:
            self._busy.discard(endpoint)
            self.wake()

    async def _deliver(self, receiver: "Webhook | AlertReceiver | None", delivery: AlertDelivery, post: "Post") -> bool:
        """Try one, and write what came of it; returns whether that could be written."""
        with self._boundary.guard(alert=delivery.alert_id, kind=delivery.kind) as fate:
            async with self._database.write() as tx:
                is_ours = await alerts.claim(tx, delivery, until=self._clock() + _CLAIM)
            if not is_ours:
                # Another monitor was faster.
                return True
            error = await self._send(receiver, delivery, post)
            if error is None:
                await self._note_success(delivery)
            else:
                await self._note_failure(delivery, error)
        return fate.error is None

    async def _send(
        self, receiver: "Webhook | AlertReceiver | None", delivery: AlertDelivery, post: "Post"
    ) -> WebhookError | None:
        if receiver is None:
            return WebhookError(detail="it is no longer configured", is_final=True)
        with self._boundary.guard(alert=delivery.alert_id, kind=delivery.kind) as fate:
            try:
                await post.send(written(receiver, delivery, environment=os.environ, now=self._clock()))
            except WebhookError as error:
                return error
        return None if fate.error is None else WebhookError(detail=type(fate.error).__name__)

    async def _note_success(self, delivery: AlertDelivery) -> None:
        async with self._database.write() as tx:
            await alerts.mark_delivered(tx, delivery, at=self._clock())
        _log.info("alert_delivered", alert=delivery.alert_id, kind=delivery.kind, tries=delivery.tries + 1)

    async def _note_failure(self, delivery: AlertDelivery, error: WebhookError) -> None:
        now = self._clock()
        again_at = next_attempt_at(delivery, error, now=now, jitter=random.random())  # noqa: S311 - no secret
        async with self._database.write() as tx:
            await alerts.mark_failed(tx, delivery, error=error.detail, next_attempt_at=again_at, at=now)
        if again_at is None:
            _log.error("alert_given_up", alert=delivery.alert_id, kind=delivery.kind, problem=error.detail)
        else:
            _log.warning("alert_delivery_failed", alert=delivery.alert_id, kind=delivery.kind, problem=error.detail)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return


class Post:
    """The ways to receivers; what one needs is loaded with the first alert that goes it."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._courier: Courier | None = None
        self._entering = asyncio.Lock()
        self._children = asyncio.Semaphore(_CHILDREN)

    async def send(self, letter: Posting | Errand) -> None:
        """Send an alert once.

        Raises:
            WebhookError: it was not taken.
        """
        if isinstance(letter, Posting):
            await (await self._entered()).post(letter)
            return
        from isthmus_monitor import child

        async with self._children:
            await child.send(letter)

    async def _entered(self) -> "Courier":
        async with self._entering:
            if self._courier is None:
                # An HTTP client is 10 MB of memory that a monitor without such receivers need not have.
                from isthmus_monitor import courier

                self._courier = await self._stack.enter_async_context(courier.Courier())
        return self._courier


def _receivers_of(policies: Iterable[AlertPolicyRow]) -> dict[str, AlertReceiver]:
    return {
        endpoint_of(row.deployment, receiver): receiver
        for row in policies
        for receiver in receivers_of(AlertPolicy.FromString(row.body))
    }
