"""A whole system with its console, and a browser before it."""

import asyncio
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.v1.instruction_pb2 import CodeSource
from isthmus_client.blocking import BlockingClient
from isthmus_client.discovery import find_token
from isthmus_console.service import sign_in_link
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from support.eventually import PATIENCE
from support.rabbitmq import Rabbit
from support.system import Operator, Service, System, running_system

PROJECT = Path(__file__).parent / "project"
LOCATION = "shown"
#: How long a page may take to show what a quiet machine shows at once, milliseconds.
WAIT_MS = 30_000


@dataclass
class Shown:
    """What a test looks at."""

    system: System
    console: Service
    address: str
    client: BlockingClient
    context: BrowserContext
    #: Every address that a page asked for, and what the browser complained of.
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Page:
        page = self.context.new_page()
        page.goto(self.address + path)
        return page

    @property
    def token(self) -> str:
        found = find_token(self.system.address)
        assert found is not None
        return found.value

    def sign_in(self) -> None:
        page = self.context.new_page()
        page.goto(sign_in_link(self.address, token=self.token))
        assert page.url == f"{self.address}/", page.content()
        page.close()

    def watch(self, page: Page) -> None:
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self._hear(message.type, message.text))

    def _hear(self, kind: str, text: str) -> None:
        # A stream that is cut, and a page that says that it was not found, are told by the browser as errors, too.
        if kind in {"error", "warning"} and not re.search(r"net::ERR_|Failed to load resource", text):
            self.complaints.append(text)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def shown(rabbitmq: Rabbit, folder: Path) -> Iterator[Shown]:
    """Start everything, apply the project, and sign a browser in."""
    database = f"sqlite+aiosqlite:///{folder}/isthmus.db"
    with running_system(broker_url=rabbitmq.take_url(), database_url=database, folder=folder) as system:
        asyncio.run(_prepare(system))
        port = free_port()
        environment = {"ISTHMUS_SERVER": system.address, "ISTHMUS_CONSOLE_LISTEN": f"127.0.0.1:{port}"}
        console = Service("console", environment, folder / "console.log")
        console.start()
        try:
            _wait_listening(port)
            with BlockingClient(system.address) as client, _browser() as browser:
                context = browser.new_context(viewport={"width": 1280, "height": 900})
                context.set_default_timeout(WAIT_MS)
                expect.set_options(timeout=WAIT_MS)
                found = Shown(system, console, f"http://127.0.0.1:{port}", client, context)
                context.on("page", found.watch)
                found.sign_in()
                yield found
        finally:
            console.end()


async def _prepare(system: System) -> None:
    async with system.client() as client:
        operator = Operator(system, client)
        await operator.enroll_agent()
        source = CodeSource(python_file=str(PROJECT / "definitions.py"), working_directory=str(PROJECT))
        location = await operator.apply(LOCATION, source)
        assert location.placements[0].report.serving_generation, location


def _wait_listening(port: int) -> None:
    deadline = time.monotonic() + 20 * PATIENCE
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(port)


@contextmanager
def _browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "chromium is not installed: make servers"
    options: dict[str, Any] = {"executable_path": program, "args": ["--no-sandbox"]}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**options)
        try:
            yield browser
        finally:
            browser.close()
