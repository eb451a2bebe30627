"""Brings to the broker what this system keeps there; only the control plane does, everyone else attaches."""

from collections.abc import Iterable
from dataclasses import replace

from aio_pika.abc import AbstractChannel
from aiormq.exceptions import (
    ChannelPreconditionFailed,
    ConnectionClosed,
    ConnectionCommandInvalid,
)
from isthmus_lifecycle.log import get_logger

from isthmus_broker.errors import TopologyError
from isthmus_broker.link import connect
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.topology import (
    DEAD,
    UNROUTABLE,
    Binding,
    Queue,
    Topology,
    agent_topology,
    dead_letter_queue,
    system_topology,
)

log = get_logger(__name__)


async def declare(settings: BrokerSettings, *, monitor_shards: int) -> None:
    """Declare what every deployment shares. Idempotent.

    Raises:
        TopologyError: the broker holds something else under one of the names, or lacks a plugin.
        OSError, AMQPError, TimeoutError: the broker cannot be reached.
    """
    topology = system_topology(monitor_shards=monitor_shards)
    dead = dead_letter_queue()
    if not await _renew(settings, dead, sources=(UNROUTABLE, DEAD)):
        others = tuple(queue for queue in topology.queues if queue.name != dead.name)
        topology = replace(topology, queues=others)
    await _declare(settings, topology)


async def _renew(settings: BrokerSettings, queue: Queue, *, sources: tuple[str, ...]) -> bool:
    """Declare a queue that an earlier release declared with other arguments: nobody can change those of a queue.

    The former one is deleted, but only while it is empty, nobody reads it and nothing is led into it: what would come in that
    moment stays where it is and comes again. Returns False, and leaves the former one in its place, until a call finds it so.
    """
    async with await connect(settings) as connection:
        try:
            async with connection.channel() as channel:
                await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
        except ChannelPreconditionFailed:
            log.info("queue_of_earlier_release", queue=queue.name)
        else:
            return True
        async with connection.channel() as channel:
            former = await channel.declare_queue(queue.name, passive=True)
            for source in sources:
                await former.unbind(source)
            state = (await channel.declare_queue(queue.name, passive=True)).declaration_result
            if state.message_count or state.consumer_count:
                return False
            await channel.queue_delete(queue.name)
            await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
            return True


async def declare_agent(settings: BrokerSettings, *, deployment: str, agent: str) -> None:
    """Declare an agent's queues. Idempotent; raises what `declare` does."""
    await declare_agents(settings, [(deployment, agent)])


async def declare_agents(settings: BrokerSettings, agents: Iterable[tuple[str, str]]) -> None:
    """Declare the queues of agents, each given by deployment and name. Idempotent; raises what `declare` does."""
    parts = [agent_topology(deployment, agent) for deployment, agent in agents]
    queues = tuple(queue for part in parts for queue in part.queues)
    bindings = tuple(binding for part in parts for binding in part.bindings)
    await _declare(settings, Topology(queues=queues, bindings=bindings))


async def remove_agent(settings: BrokerSettings, *, deployment: str, agent: str) -> None:
    """Delete an agent's queues and what waits in them. Idempotent; raises what `declare` does."""
    async with await connect(settings) as connection, connection.channel() as channel:
        for queue in agent_topology(deployment, agent).queues:
            await channel.queue_delete(queue.name)


async def _declare(settings: BrokerSettings, topology: Topology) -> None:
    what = "the topology"
    try:
        async with await connect(settings) as connection, connection.channel() as channel:
            for exchange in topology.exchanges:
                what = f"exchange {exchange.name!r}"
                await channel.declare_exchange(
                    exchange.name, exchange.type, durable=True, arguments=dict(exchange.arguments)
                )
            for queue in topology.queues:
                what = f"queue {queue.name!r}"
                await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
            for binding in topology.bindings:
                what = f"a binding of {binding.destination!r}"
                await _bind(channel, binding)
            for binding in topology.former_bindings:
                await _unbind(channel, binding)
    except ChannelPreconditionFailed as error:
        raise TopologyError(
            what=what,
            problem=f"the broker has it with other properties ({error}).",
            remedy="Delete it there once it is empty, or use a virtual host of its own.",
        ) from error
    except (ConnectionCommandInvalid, ConnectionClosed) as error:
        if "exchange type" not in str(error):
            raise
        raise TopologyError(
            what=what,
            problem=f"the broker does not know this type of exchange ({error}).",
            remedy="Run `rabbitmq-plugins enable rabbitmq_consistent_hash_exchange`, or use one monitor shard.",
        ) from error


async def _bind(channel: AbstractChannel, binding: Binding) -> None:
    if binding.to_exchange:
        exchange = await channel.get_exchange(binding.destination, ensure=False)
        await exchange.bind(binding.source, routing_key=binding.routing_key)
    else:
        queue = await channel.get_queue(binding.destination, ensure=False)
        await queue.bind(binding.source, routing_key=binding.routing_key)


async def _unbind(channel: AbstractChannel, binding: Binding) -> None:
    """Undo a binding; one that is not there is undone."""
    if binding.to_exchange:
        exchange = await channel.get_exchange(binding.destination, ensure=False)
        await exchange.unbind(binding.source, routing_key=binding.routing_key)
    else:
        queue = await channel.get_queue(binding.destination, ensure=False)
        await queue.unbind(binding.source, routing_key=binding.routing_key)
