"""One monitor, wired together: consumers, the ingest, the vigil, the delivery of alerts."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from isthmus_broker.notices import Notice, NoticeListener, NoticePublisher
from isthmus_broker.publisher import Publisher
from isthmus_broker.telemetry_consumer import TelemetryConsumer
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from isthmus_store.database import Database
from isthmus_store.errors import TransientStoreError, UnusableDatabaseError

from isthmus_monitor.announcement import Announcer
from isthmus_monitor.delivery import AlertSender
from isthmus_monitor.ingest import Ingest, Outlets
from isthmus_monitor.news import AgentKey
from isthmus_monitor.roster import Roster
from isthmus_monitor.settings import MonitorSettings
from isthmus_monitor.vigil import Hearing, Vigil

_log = get_logger(__name__)

_MIGRATE_RETRY_S = 1.0


async def run_monitor(settings: MonitorSettings, *, started: asyncio.Event | None = None) -> None:
    """Run a monitor until cancelled; `started` is set once the schema is there and all queues are consumed.

    A broker or a database that is away is waited for. Cancelling is the way to stop: a group that is being written is
    either committed or not, and what was not acknowledged is delivered again and recognised.

    Raises:
        PermanentStoreError: the database's address or schema is not usable.
    """
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(settings.database_url))
        await _migrate(database)
        publisher = await stack.enter_async_context(Publisher(settings.broker.named("isthmus-monitor notices")))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        _start(group, settings, database=database, publisher=publisher, started=started)


@dataclass(frozen=True)
class _Reader:
    """Who reads a shard, and who tells it of the agents that there are."""

    consumer: TelemetryConsumer
    roster: Roster

    @classmethod
    def of(cls, shard: int, *, settings: MonitorSettings, database: Database, vigil: Vigil) -> "_Reader":
        def on_connected() -> None:
            vigil.hear_again(shard)
            roster.look()

        consumer = TelemetryConsumer(
            settings.broker.named(f"isthmus-monitor {shard}"),
            shard=shard,
            shards=settings.shards,
            prefetch=settings.prefetch,
            max_group=settings.max_group,
            on_connected=on_connected,
            on_lost=partial(vigil.go_deaf, shard),
        )
        roster = Roster(database, follower=consumer)
        return cls(consumer, roster)


def _start(
    group: asyncio.TaskGroup,
    settings: MonitorSettings,
    *,
    database: Database,
    publisher: Publisher,
    started: asyncio.Event | None,
) -> None:
    alert_sender = AlertSender(database, webhooks=settings.webhooks)
    readers: list[_Reader] = []

    async def is_behind(agent: AgentKey) -> bool:
        for reader in readers:
            if await reader.consumer.is_behind(*agent):
                return True
        return False

    vigil = Vigil(
        database, patience=settings.patience, alert_sender=alert_sender, hearing=Hearing(settings.shards, is_behind)
    )
    announcer = Announcer(NoticePublisher(publisher))
    ingest = Ingest(
        database,
        Outlets(ear=vigil, alert_sender=alert_sender, notices=announcer),
        own_account=settings.broker.user,
    )
    readers += [
        _Reader.of(shard, settings=settings, database=database, vigil=vigil) for shard in range(settings.shards)
    ]
    for reader in readers:
        shard = reader.consumer.shard
        group.create_task(reader.consumer.run(), name=f"consume shard {shard}")
        group.create_task(_ingest(reader.consumer, ingest), name=f"ingest shard {shard}")
        group.create_task(reader.roster.run(), name=f"roster {shard}")
    group.create_task(_listen(settings, readers), name="new agents")
    group.create_task(vigil.run(ingest.announce), name="vigil")
    group.create_task(announcer.run(), name="notices")
    group.create_task(alert_sender.run(), name="alerts")
    group.create_task(_tell_started([reader.consumer for reader in readers], started), name="readiness")


async def _listen(settings: MonitorSettings, readers: list[_Reader]) -> None:
    """Hear of agents as soon as they are created."""

    def on_notice(notice: Notice) -> None:
        for reader in readers:
            reader.roster.on_notice(notice)

    await NoticeListener(settings.broker.named("isthmus-monitor hearing"), on_notice=on_notice).run()


async def _ingest(consumer: TelemetryConsumer, ingest: Ingest) -> None:
    boundary = Boundary("telemetry delivery", passes=(UnusableDatabaseError,))
    async for batch_group in consumer.groups():
        with boundary.guard(shard=consumer.shard, batches=len(batch_group.items)) as fate:
            await ingest.take(batch_group)
        if fate.error is not None:
            # It was not acknowledged, and what comes behind it must not overtake it.
            consumer.start_over()


async def _tell_started(consumers: list[TelemetryConsumer], started: asyncio.Event | None) -> None:
    for consumer in consumers:
        await consumer.wait_consuming()
    _log.info("monitor_started", shards=len(consumers))
    if started is not None:
        started.set()


async def _migrate(database: Database) -> None:
    while True:
        try:
            await database.migrate()
        except TransientStoreError as error:
            _log.warning("database_unavailable", problem=str(error), retry_in_s=_MIGRATE_RETRY_S)
            await asyncio.sleep(_MIGRATE_RETRY_S)
        else:
            return
