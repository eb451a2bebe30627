"""The console's pages, as a part of `isthmus dev`."""

import asyncio
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from isthmus_client.discovery import find_token
from isthmus_console.settings import ConsoleSettings

from isthmus_dev.part import Part
from isthmus_dev.port import HOST
from isthmus_dev.settings import DEPLOYMENT

if TYPE_CHECKING:
    from isthmus_dev.screen import Screen
    from isthmus_dev.settings import DevSettings


async def begin_console(
    group: asyncio.TaskGroup, settings: "DevSettings", *, screen: "Screen", address: str
) -> tuple[Part, ...]:
    """Serve the pages and say where; returns the part that does, or nothing where no pages are wanted.

    Args:
        group: Where the part lives.
        settings: What was decided before.
        screen: Who is told.
        address: Where the control plane is, and is announced to be.
    """
    if settings.console_port is None:
        return ()
    # When runs can be launched already: what pages need is imported last, and in a thread.
    service = await asyncio.to_thread(import_module, "isthmus_console.service")
    wanted = ConsoleSettings.model_validate(
        {"server": address, "deployment": DEPLOYMENT, "listen": f"{HOST}:{settings.console_port}"}
    )
    bound: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    part = await Part.start(
        group,
        lambda stop, started: service.run_console(wanted, stop=stop, started=started, bound=bound.set_result),
        name="console",
        log_file=str(settings.folder.log_file),
    )
    link = _link(await bound, address=address, sign_in_link=service.sign_in_link)
    screen.say(f"Its pages: {screen.paint.bold(link)}", "")
    if settings.opens_console:
        with suppress(webbrowser.Error):
            await asyncio.to_thread(webbrowser.open, link)
    return (part,)


def _link(console: str, *, address: str, sign_in_link: Callable[..., str]) -> str:
    """Return the link that signs a browser in, once; the pages' own address, where somebody has taken the token away."""
    found = find_token(address)
    return sign_in_link(console, token=found.value) if found is not None else console
