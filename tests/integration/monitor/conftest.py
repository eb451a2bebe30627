"""A deployment on a fresh virtual host and a fresh database, once of each kind."""

from collections.abc import AsyncIterator

import pytest
from integration.monitor.world import World, now
from isthmus_broker.declaring import declare, declare_agent
from isthmus_broker.settings import BrokerSettings
from isthmus_store import agents
from isthmus_store.database import Database
from isthmus_store.record.agent import NewAgent


@pytest.fixture
async def world(broker_url: str, database_url: str) -> AsyncIterator[World]:
    broker = BrokerSettings(url=broker_url, reconnect_max_s=0.2)
    await declare(broker, monitor_shards=1)
    await declare_agent(broker, deployment="prod", agent="lab")
    async with Database.open(database_url) as database:
        await database.migrate()
        async with database.write() as tx:
            await agents.insert(
                tx, NewAgent(deployment="prod", name="lab", pool="default", broker_user="", created_at=now())
            )
        yield World(broker=broker, database=database, database_url=database_url)
