"""The way to a container engine: aiodocker's client, with a way to what it has no method for."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiodocker
import aiohttp
from aiodocker.types import JSONObject

#: Longest wait for an answer unless told otherwise, seconds: creating and starting take long on a busy machine.
CALL_TIMEOUT_S = 120.0
_CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Call:
    """One call."""

    #: What it is for, as in "the engine refused to …".
    what: str
    path: str
    method: str = "GET"
    params: JSONObject | None = None
    data: object = None


class EngineClient(aiodocker.Docker):
    """aiodocker's client, and what it has no method for."""

    #: Longest wait for an answer, seconds.
    call_timeout_s: float = CALL_TIMEOUT_S

    async def ask(self, call: Call) -> object:
        """Call the engine and return its answer, parsed."""
        async with asyncio.timeout(self.call_timeout_s):
            answer: object = await self._query_json(call.path, call.method, params=call.params, data=call.data)
            return answer

    async def lines(
        self, call: Call, *, headers: Mapping[str, str], silence_s: float | None
    ) -> AsyncGenerator[bytes, None]:
        """Call the engine and give its answer line by line; first an empty one, when the answer has begun."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=silence_s)
        async with self._query(
            call.path, call.method, params=call.params, headers=headers, timeout=timeout
        ) as response:
            try:
                yield b""
                while line := await response.content.readline():
                    yield line
            finally:
                # Releasing would wait for the end of a stream that has none.
                response.close()


@asynccontextmanager
async def open_client(url: str, *, call_timeout_s: float) -> AsyncIterator[EngineClient]:
    """Prepare calls to the engine at a `unix://` or `tcp://` address; nothing is connected before the first."""
    # The default of 100 connections is less than an agent may need at once; above it, every call would wait.
    connector: aiohttp.BaseConnector = (
        aiohttp.UnixConnector(url.removeprefix("unix://"), limit=0)
        if url.startswith("unix://")
        else aiohttp.TCPConnector(limit=0)
    )
    base = "unix://localhost" if url.startswith("unix://") else url
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S)
    client = EngineClient(url=base, connector=connector, timeout=timeout)
    client.call_timeout_s = call_timeout_s
    try:
        yield client
    finally:
        await client.close()
        await connector.close()
