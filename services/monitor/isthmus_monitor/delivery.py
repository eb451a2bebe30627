"""The loop that brings alerts to their receivers, and writes those that nobody else wrote."""

import asyncio
import random
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from isthmus_lifecycle.boundary import Boundary, keep_going
from isthmus_lifecycle.log import get_logger
from isthmus_store import alerts
from isthmus_store.database import Database
from isthmus_store.errors import TransientStoreError
from isthmus_store.record.alert import AlertDelivery

from isthmus_monitor import alert
from isthmus_monitor.errors import WebhookError
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
#: Deliveries under way at once.
_AT_ONCE: Final = 16


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
        self._boundary = Boundary("alert delivery")

    def endpoints_for(self, kind: str) -> list[str]:
        """Return the keys of the receivers that want this kind of alert."""
        return [endpoint for endpoint, webhook in self._webhooks.items() if webhook.wants(kind)]

    def wake(self) -> None:
        """Look for due deliveries now: one was just written."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled. A delivery that is cut off is made again: receivers tell repeats by the id."""
        async with AsyncExitStack() as stack:
            courier = await self._courier(stack)
            await keep_going(partial(self._step, courier), name="alerts")

    async def _step(self, courier: "Courier | None") -> None:
        self._wake.clear()
        sleep_s = _RETRY_S
        try:
            await self.tell_failures()
            sleep_s = await self._deliver_due(courier)
        except TransientStoreError as fault:
            _log.warning("alert_delivery_delayed", problem=str(fault))
        await self._sleep(sleep_s)

    async def _courier(self, stack: AsyncExitStack) -> "Courier | None":
        if not self._webhooks:
            return None
        # An HTTP client is 10 MB of memory that a monitor without receivers need not have.
        from isthmus_monitor import courier

        return await stack.enter_async_context(courier.Courier())

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

    async def _deliver_due(self, courier: "Courier | None") -> float:
        """Try all that is due; returns how long there is nothing to do."""
        async with self._database.read() as tx:
            due = await alerts.due(tx, now=self._clock(), limit=_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            delivering = [group.create_task(self._deliver(courier, delivery)) for delivery in due]
        if due:
            # One of which the outcome could not be written is still due: it must not be sent in a tight loop.
            return 0.0 if all(task.result() for task in delivering) else _RETRY_S
        async with self._database.read() as tx:
            next_due_at = await alerts.next_due_at(tx)
        if next_due_at is None:
            return _LONGEST_SLEEP_S
        return min(_LONGEST_SLEEP_S, max(0.0, (next_due_at - self._clock()).total_seconds()))

    async def _deliver(self, courier: "Courier | None", delivery: AlertDelivery) -> bool:
        """Try one, and write what came of it; returns whether that could be written."""
        with self._boundary.guard(alert=delivery.alert_id, kind=delivery.kind) as fate:
            error = await self._post(courier, delivery)
            if error is None:
                await self._note_success(delivery)
            else:
                await self._note_failure(delivery, error)
        return fate.error is None

    async def _post(self, courier: "Courier | None", delivery: AlertDelivery) -> WebhookError | None:
        webhook = self._webhooks.get(delivery.endpoint)
        if webhook is None or courier is None:
            return WebhookError(detail="it is no longer configured", is_final=True)
        with self._boundary.guard(alert=delivery.alert_id, kind=delivery.kind) as fate:
            try:
                await courier.post(webhook, delivery, now=self._clock())
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
