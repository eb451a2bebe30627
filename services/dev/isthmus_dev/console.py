"""The console's pages, as a part of `isthmus dev`."""

import asyncio
import webbrowser
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


def begin_console(
    group: asyncio.TaskGroup, settings: "DevSettings", *, screen: "Screen", address: str
) -> tuple[Part, ...]:
    """Begin to serve the pages, which says where once it is done; returns the part that does, or nothing where none are wanted.

    Args:
        group: Where the part lives.
        settings: What was decided before.
        screen: Who is told.
        address: Where the control plane is, and is announced to be.
    """
    if settings.console_port is None:
        return ()
    wanted = ConsoleSettings.model_validate(
        {"server": address, "deployment": DEPLOYMENT, "listen": f"{HOST}:{settings.console_port}"}
    )

    async def serve(stop: asyncio.Event, started: asyncio.Event) -> None:
        # Runs can be launched already: what pages need is imported last, and nothing waits for it.
        service = await asyncio.to_thread(import_module, "isthmus_console.service")

        def tell(console: str) -> None:
            found = find_token(address)
            # Where somebody has taken the token away, the pages ask for it.
            link = service.sign_in_link(console, token=found.value) if found is not None else console
            screen.say(f"Its pages: {screen.paint.bold(link)}", "")
            if settings.opens_console:
                asyncio.get_running_loop().run_in_executor(None, _open, link)

        await service.run_console(wanted, stop=stop, started=started, bound=tell)

    return (Part.begin(group, serve, name="console", log_file=str(settings.folder.log_file)),)


def _open(link: str) -> None:
    with suppress(webbrowser.Error):
        webbrowser.open(link)
