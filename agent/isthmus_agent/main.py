"""The `isthmus-agent` command: wiring only."""

import asyncio
import os
import signal
import sys

from isthmus_broker import log, pulse

from isthmus_agent.agent import run_agent
from isthmus_agent.errors import AgentError
from isthmus_agent.settings import AgentSettings, load_settings

__all__ = ["main", "run_agent"]

_log = log.get_logger(__name__)

#: sysexits.h: the configuration is at fault.
_EXIT_CONFIGURATION = 78


def main() -> None:
    """Run an agent until SIGTERM or SIGINT; a second signal ends it at once."""
    log.to_stderr()
    try:
        asyncio.run(_run(load_settings()))
    except AgentError as error:
        sys.stderr.write(f"isthmus-agent: {error}\n")
        sys.exit(_EXIT_CONFIGURATION)


async def _run(settings: AgentSettings) -> None:
    stop, started = asyncio.Event(), asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            # Nothing is lost: instructions in hand go back to the queue, runs belong to their code servers.
            os._exit(128 + number)
        _log.info("agent_stopping", signal=number.name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    with pulse.beating(started):
        await run_agent(settings, stop=stop, started=started)


if __name__ == "__main__":
    main()
