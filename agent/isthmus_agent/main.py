"""The `isthmus-agent` command: wiring only."""

import asyncio

from isthmus_lifecycle.service import run_service
from isthmus_lifecycle.settings import SettingsError

from isthmus_agent.agent import run_agent
from isthmus_agent.errors import AgentError
from isthmus_agent.settings import load_settings

__all__ = ["main", "run_agent"]


def main() -> None:
    """Run an agent until SIGTERM or SIGINT; a second signal ends it at once."""
    run_service(_serve, name="isthmus-agent", faults=(AgentError, SettingsError))


async def _serve(*, stop: asyncio.Event, started: asyncio.Event) -> None:
    await run_agent(load_settings(), stop=stop, started=started)


if __name__ == "__main__":
    main()
