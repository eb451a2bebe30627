"""A console on a stand: the real service, before a control plane with prepared answers."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from isthmus_console.service import run_console, sign_in_link
from isthmus_console.settings import ConsoleSettings
from support.canned import CannedControlPlane, serve
from support.eventually import patiently
from yarl import URL

TOKEN = "a-token-that-is-long-enough-for-tests"


@dataclass
class Page:
    """An answer of the console."""

    status: int
    text: str
    headers: dict[str, str] = field(repr=False)

    @property
    def form_token(self) -> str:
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', self.text)
        assert found, self.text
        return found[1]


@dataclass
class Console:
    """A running console, and a browser of the simplest kind."""

    address: str
    plane: CannedControlPlane
    browser: aiohttp.ClientSession
    stop: asyncio.Event

    @property
    def link(self) -> str:
        return sign_in_link(self.address, token=TOKEN)

    async def sign_in(self) -> None:
        page = await self.get(self.link.removeprefix(self.address))
        assert page.status == 303, page

    @property
    def cookie(self) -> tuple[str, str]:
        """The one cookie that the browser has: its name and value."""
        (cookie,) = self.browser.cookie_jar
        return cookie.key, cookie.value

    def take_cookie(self, name: str, value: str) -> None:
        self.browser.cookie_jar.update_cookies({name: value}, URL(self.address))

    async def get(self, path: str, **headers: str) -> Page:
        return await self._ask("GET", path, headers={"Accept": "text/html", **headers})

    async def post(self, path: str, data: dict[str, str], **headers: str) -> Page:
        own = {"Accept": "text/html", "Origin": self.address, **headers}
        return await self._ask("POST", path, headers=own, data=data)

    async def _ask(self, method: str, path: str, **options: Any) -> Page:
        async with self.browser.request(method, self.address + path, allow_redirects=False, **options) as answer:
            return Page(answer.status, await answer.text(), dict(answer.headers))

    @asynccontextmanager
    async def listening(self, path: str, **headers: str) -> AsyncIterator["Stream"]:
        """Open a page's stream."""
        async with self.browser.get(self.address + path, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            yield Stream(answer.content)


@dataclass
class Stream:
    """What an open page is told."""

    content: aiohttp.StreamReader
    last_id: str = ""

    async def next(self, *names: str) -> Any:
        """The facts of the next event of one of the names; others are passed over. None where the stream ends."""
        async with patiently(30):
            while True:
                name, data = await self._event()
                if not name or name in names:
                    return json.loads(data) if name else None

    async def _event(self) -> tuple[str, str]:
        name, data = "", ""
        while line := (await self.content.readline()).decode():
            field_name, _, value = line.rstrip("\r\n").partition(": ")
            match field_name:
                case "event":
                    name = value
                case "data":
                    data += value
                case "id":
                    self.last_id = value
                case "" if name:
                    return name, data
        return "", ""


@asynccontextmanager
async def console(plane: CannedControlPlane, **settings: Any) -> AsyncIterator[Console]:
    """Run the service before a control plane with prepared answers."""
    canned = await serve(plane)
    stop, started = asyncio.Event(), asyncio.Event()
    addresses: list[str] = []
    wanted = ConsoleSettings(**{"server": canned.address, "listen": "127.0.0.1:0", **settings})
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run_console(wanted, stop=stop, started=started, bound=addresses.append))
            async with patiently(30):
                await started.wait()
            # The cookies of a host that is an address are kept, too.
            async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
                yield Console(addresses[0], plane, browser, stop)
            stop.set()
    finally:
        await canned.server.stop(None)
