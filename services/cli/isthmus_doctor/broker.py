"""Checks of the broker that the environment names."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ProbableAuthenticationError,
)
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.topology import TELEMETRY, instruction_queue

from isthmus_doctor.finding import Finding

_TIMEOUT_S = 5.0
_NAME = "broker"
_OLDEST = (3, 10)


async def reached(url: str, *, queue: str) -> AsyncIterator[Finding]:
    """A broker lets us in, is new enough, and gives the account what it needs.

    Args:
        url: Its address.
        queue: An agent's queue, for an agent's account; empty for a service's.
    """
    settings = BrokerSettings(url)
    where = settings.safe_url
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            connection = await aio_pika.connect(url, client_properties={"connection_name": "isthmus doctor"})
    except (AuthenticationError, ProbableAuthenticationError):
        remedy = "check account, password and virtual host in ISTHMUS_BROKER_URL"
        yield Finding.fail(_NAME, f"{where} refuses the account", remedy=remedy)
        return
    except (OSError, AMQPError, ValueError) as error:
        remedy = "check host and port in ISTHMUS_BROKER_URL, and that RabbitMQ runs there"
        yield Finding.fail(_NAME, f"{where} is not reached: {str(error) or type(error).__name__}", remedy=remedy)
        return
    async with connection:
        yield _version(connection, where=where)
        yield await _permission(connection, settings=settings, queue=queue)


def _version(connection: AbstractConnection, *, where: str) -> Finding:
    transport = connection.transport
    told = transport.connection.server_properties if transport is not None else {}
    version = told.get("version", b"?")
    text = version.decode(errors="replace") if isinstance(version, bytes) else str(version)
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if numbers and numbers < _OLDEST:
        return Finding.fail(_NAME, f"RabbitMQ {text} at {where} is too old", remedy="install RabbitMQ 3.10 or newer")
    return Finding.ok(_NAME, f"RabbitMQ {text} at {where}")


async def _permission(connection: AbstractConnection, *, settings: BrokerSettings, queue: str) -> Finding:
    name = "permissions"
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            channel = await connection.channel()
            await channel.get_exchange(TELEMETRY, ensure=True)
            if queue:
                await channel.get_queue(queue, ensure=True)
    except ChannelAccessRefused as error:
        remedy = f"rabbitmqctl set_permissions {settings.user} … : docs/agent.md has what an agent's account needs"
        return Finding.fail(name, f"the account {settings.user} may not: {error}", remedy=remedy)
    except ChannelNotFoundEntity:
        missing = f"the queue {queue}" if queue else f"the exchange {TELEMETRY}"
        remedy = "isthmus agent create NAME" if queue else "start isthmus-control-plane once: it declares what all use"
        return Finding.warn(name, f"{missing} is not there yet", remedy=remedy)
    except (OSError, AMQPError) as error:
        return Finding.fail(
            name, f"no channel: {str(error) or type(error).__name__}", remedy="look into the broker's log"
        )
    return Finding.ok(name, f"the account {settings.user} finds what it needs")


def agent_queue(deployment: str, agent: str) -> str:
    """Return the queue that an agent consumes; empty without an agent."""
    return instruction_queue(deployment, agent) if agent else ""
