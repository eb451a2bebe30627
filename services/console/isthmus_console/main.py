"""The command isthmus-console: wiring only."""

import asyncio

from isthmus_client.errors import TokenError
from isthmus_lifecycle.service import run_service
from isthmus_lifecycle.settings import SettingsError

from isthmus_console.errors import PermanentConsoleError
from isthmus_console.service import run_console
from isthmus_console.settings import load_settings


def main() -> None:
    """Serve until SIGTERM or SIGINT; a second one ends it at once."""
    run_service(_serve, name="isthmus-console", faults=(SettingsError, TokenError, PermanentConsoleError))


async def _serve(*, stop: asyncio.Event, started: asyncio.Event) -> None:
    await run_console(load_settings(), stop=stop, started=started)


if __name__ == "__main__":
    main()
