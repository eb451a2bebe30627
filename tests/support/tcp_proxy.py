"""A proxy inside the test, over TCP or a unix socket, whose wire can be cut, silenced, refused and mended."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from support.eventually import eventually

_CHUNK = 64 * 1024

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class TcpProxy:
    """Forwards one address. What happens to its connections is decided by the test, at any time.

    - `cut()` resets what is open; new connections pass.
    - `refuse()` resets what is open, and every new connection too.
    - `black_hole()` forwards nothing more, though everything stays open; new connections are accepted and stay silent.
    - `resume()` forwards again, first what was held back.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._open: set[asyncio.StreamWriter] = set()
        self._serving = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._is_refusing = False
        self._server: asyncio.Server | None = None
        #: How many connections were accepted so far.
        self.accepted = 0

    @classmethod
    @asynccontextmanager
    async def to(cls, host: str, port: int) -> AsyncIterator[Self]:
        """Listen on a free port of 127.0.0.1 until the block is left."""
        proxy = cls(lambda: asyncio.open_connection(host, port))
        proxy._server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        async with proxy._ending():
            yield proxy

    @classmethod
    @asynccontextmanager
    async def to_socket(cls, target: Path, *, at: Path) -> AsyncIterator[Self]:
        """Listen on a unix socket in front of another one until the block is left."""
        proxy = cls(lambda: asyncio.open_unix_connection(target))
        proxy._server = await asyncio.start_unix_server(proxy._serve, at)
        async with proxy._ending():
            yield proxy

    @asynccontextmanager
    async def _ending(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            assert self._server is not None
            self._server.close()
            self.refuse()
            await eventually(lambda: not self._open and not self._serving, within=5)

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def url_for(self, url: str) -> str:
        """The same address, by way of this proxy."""
        parts = urlsplit(url)
        account = f"{parts.username}:{parts.password}@" if parts.username else ""
        return parts._replace(netloc=f"{account}127.0.0.1:{self.port}").geturl()

    @property
    def open_connections(self) -> int:
        return len(self._open) // 2

    def cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    def refuse(self) -> None:
        self._is_refusing = True
        self._flowing.set()
        self.cut()

    def black_hole(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._is_refusing = False
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._serving += 1
        try:
            if not self._is_refusing:
                await self._flowing.wait()
            if not self._is_refusing:
                await self._forward(reader, writer)
        finally:
            writer.transport.abort()
            self._serving -= 1

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await self._connect()
        except OSError:
            return
        ends = {writer, far_writer}
        self._open |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer))
                group.create_task(self._pump(far_reader, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(_CHUNK):
                await self._flowing.wait()
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()
        except OSError:
            # A reset of one side must reach the other, which may be waiting for data that will never come.
            writer.transport.abort()
