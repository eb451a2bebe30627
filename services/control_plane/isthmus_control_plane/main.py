"""The command isthmus-control-plane: wiring only."""

import asyncio

from isthmus_broker.errors import PermanentBrokerError
from isthmus_client.errors import TokenError
from isthmus_lifecycle.service import run_service
from isthmus_lifecycle.settings import SettingsError
from isthmus_store.errors import PermanentStoreError

from isthmus_control_plane.errors import PermanentControlPlaneError
from isthmus_control_plane.service import run_control_plane
from isthmus_control_plane.settings import load_settings


def main() -> None:
    """Serve until SIGTERM or SIGINT; a second one ends it at once."""
    # What cannot be mended by starting again.
    faults = (SettingsError, TokenError, PermanentControlPlaneError, PermanentBrokerError, PermanentStoreError)
    run_service(_serve, name="isthmus-control-plane", faults=faults)


async def _serve(*, stop: asyncio.Event, started: asyncio.Event) -> None:
    await run_control_plane(load_settings(), stop=stop, started=started)


if __name__ == "__main__":
    main()
