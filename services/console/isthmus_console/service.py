"""The console as a service: it listens, serves pages, and ends in order."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import time
from typing import Final

import uvicorn
from isthmus_lifecycle.log import get_logger

from isthmus_console.app import application
from isthmus_console.connect.gateway import Gateway
from isthmus_console.door.gate import SIGN_IN
from isthmus_console.errors import AddressTakenError
from isthmus_console.looks import Looks
from isthmus_console.settings import ConsoleSettings
from isthmus_console.site import Site
from isthmus_console.upstream import Upstream

log = get_logger(__name__)

_BACKLOG: Final = 128


class _Server(uvicorn.Server):
    """uvicorn without its own handling of signals: whoever runs the service tells it when to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run_console(
    settings: ConsoleSettings,
    *,
    stop: asyncio.Event,
    started: asyncio.Event,
    bound: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until `stop` is set: then open streams end, requests in hand are finished, and the rest is cut off.

    Args:
        settings: How.
        stop: Ends it.
        started: Is set once browsers are served.
        bound: Is told the address, as in `http://127.0.0.1:7071`.

    Raises:
        AddressTakenError: Something else listens there.
        NotBuiltError: The pages' scripts are not there.
    """
    listening = _listen(settings.listen)
    host, port = listening.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    async with (
        Upstream(settings.address, deployment=settings.deployment) as upstream,
        Gateway(settings.address) as gateway,
    ):
        looks = Looks(deployment=settings.deployment)
        site = Site(settings=settings, upstream=upstream, looks=looks, cookie_name=f"isthmus_console_{port}")
        server = _Server(_config(site, gateway=gateway))
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(sockets=[listening]), name="uvicorn")
            ending = group.create_task(_end(site, server, stop=stop))
            bound(address)
            started.set()
            log.info("console_started", address=address, control_plane=upstream.address)
            await serving
            ending.cancel()


def sign_in_link(address: str, *, token: str) -> str:
    """Return the link that signs one browser in at a console, once."""
    from isthmus_console.door.session import Signer

    return f"{address}{SIGN_IN}?ticket={Signer(token).ticket(now_s=time())}"


async def _end(site: Site, server: uvicorn.Server, *, stop: asyncio.Event) -> None:
    await stop.wait()
    site.stopping.set()
    server.should_exit = True


def _config(site: Site, *, gateway: Gateway) -> uvicorn.Config:
    return uvicorn.Config(
        application(site, gateway=gateway),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Whoever stands before the console is trusted with nothing: no page shows what a proxy says.
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(site.settings.drain_timeout_s)),
    )


def _listen(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        family = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, int(port)), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise AddressTakenError(listen, reason=getattr(error, "strerror", None) or str(error)) from error
