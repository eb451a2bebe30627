"""The ground under the other tests: servers that are real, and a wire that can really be cut."""

import asyncio
from contextlib import aclosing, suppress

import aio_pika
import asyncpg
import pytest
from support.tcp_proxy import TcpProxy


async def _send_and_get(url: str, *, queue: str, body: bytes) -> bytes:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=queue)
        received = await declared.get()
        assert received is not None
        await received.ack()
        return received.body


async def test_every_asker_gets_an_empty_virtual_host(broker_url: str) -> None:
    assert await _send_and_get(broker_url, queue="shared-name", body=b"one") == b"one"


async def test_virtual_hosts_do_not_see_each_other(broker_url: str) -> None:
    assert await _send_and_get(broker_url, queue="shared-name", body=b"two") == b"two"


async def test_consistent_hash_exchange_is_there(broker_url: str) -> None:
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("hashed", aio_pika.ExchangeType.X_CONSISTENT_HASH)
        assert exchange.name == "hashed"


async def test_each_database_is_empty_and_gone_afterwards(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    try:
        await connection.execute("CREATE TABLE only_here (id int)")
        assert await connection.fetchval("SELECT count(*) FROM only_here") == 0
    finally:
        await connection.close()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(100):
            writer.write(chunk)
            await writer.drain()
    writer.close()


class _Clients:
    """Connections that are closed in the end, whatever became of them."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self._writers.append(writer)
        return reader, writer

    async def aclose(self) -> None:
        for writer in self._writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def test_proxy_cuts_silences_refuses_and_mends() -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, aclosing(_Clients()) as clients, TcpProxy.to("127.0.0.1", port) as proxy:
        assert proxy.url_for("amqp://u:p@far:5672/vhost") == f"amqp://u:p@127.0.0.1:{proxy.port}/vhost"
        reader, writer = await clients.open(proxy.port)
        writer.write(b"passes")
        assert await reader.readexactly(6) == b"passes"

        proxy.black_hole()
        writer.write(b"held")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.readexactly(4)
        proxy.resume()
        assert await reader.readexactly(4) == b"held"

        proxy.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)

        proxy.refuse()
        refused, _ = await clients.open(proxy.port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await refused.readexactly(1)

        proxy.resume()
        again, writer = await clients.open(proxy.port)
        writer.write(b"back")
        assert await again.readexactly(4) == b"back"
        assert proxy.accepted == 3
