"""The command isthmus-monitor: reads the settings, runs until told to stop."""

import asyncio

from isthmus_lifecycle.service import run_service, until_stopped
from isthmus_lifecycle.settings import SettingsError
from isthmus_store.errors import PermanentStoreError

from isthmus_monitor.service import run_monitor
from isthmus_monitor.settings import load_settings


def main() -> None:
    """Run the monitor. SIGTERM and SIGINT stop it; a second one ends it at once."""
    run_service(_serve, name="isthmus-monitor", faults=(SettingsError, PermanentStoreError))


async def _serve(*, stop: asyncio.Event, started: asyncio.Event) -> None:
    await until_stopped(run_monitor(load_settings(), started=started), stop)


if __name__ == "__main__":
    main()
