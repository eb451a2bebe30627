"""A container engine that answers some calls wrongly: a proxy on a unix socket in front of the real one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web

_ENGINE = "/var/run/docker.sock"
_HOP_HEADERS = {"transfer-encoding", "content-length", "connection"}


def kind_of(method: str, path: str) -> str:
    """Name a call by its method and its path, with a star for what is named in it, as in "POST containers/*/kill"."""
    first, *rest = (part for part in path.split("/") if part and not part.startswith("v1."))
    if not rest or rest in (["json"], ["create"]):
        return f"{method} {'/'.join((first, *rest))}"
    verb = f"/{rest[-1]}" if len(rest) > 1 else ""
    return f"{method} {first}/*{verb}"


@dataclass
class FaultyEngine:
    """Forwards calls, but for those that `fault` names an answer for: a status, "hang" or "garbage"."""

    fault: Callable[[str, str], int | str | None] = lambda _kind, _path: None
    #: Every call that was answered wrongly.
    faults: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def at(cls, socket: Path) -> AsyncIterator[Self]:
        """Listen on a unix socket until the block is left."""
        engine, app = cls(), web.Application()
        connector = aiohttp.UnixConnector(_ENGINE, limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

            async def handle(request: web.Request) -> web.StreamResponse:
                return await engine._answer(request, session)

            app.router.add_route("*", "/{path:.*}", handle)
            runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            await web.UnixSite(runner, str(socket)).start()
            try:
                yield engine
            finally:
                await runner.cleanup()

    async def _answer(self, request: web.Request, session: aiohttp.ClientSession) -> web.StreamResponse:
        kind = kind_of(request.method, request.path)
        fault = self.fault(kind, request.path)
        if fault is None:
            return await self._forward(request, session)
        self.faults.append(kind)
        if fault == "hang":
            await asyncio.Event().wait()
        if isinstance(fault, int):
            return web.json_response({"message": "the engine is ill"}, status=fault)
        return web.Response(body=b'{"Id": [\xff', content_type="application/json")

    async def _forward(self, request: web.Request, session: aiohttp.ClientSession) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_HEADERS}
        url = f"http://localhost{request.raw_path}"
        timeout = aiohttp.ClientTimeout(total=None)
        async with session.request(
            request.method, url, headers=headers, data=await request.read(), timeout=timeout
        ) as told:
            kept = {name: value for name, value in told.headers.items() if name.lower() not in _HOP_HEADERS}
            response = web.StreamResponse(status=told.status, headers=kept)
            await response.prepare(request)
            async for chunk in told.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response
