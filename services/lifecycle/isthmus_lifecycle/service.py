"""The `main` of a service: log, signals, pulse, exit codes."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Protocol

from isthmus_lifecycle import log, pulse
from isthmus_lifecycle.leaves import leaves

_log = log.get_logger(__name__)

# gRPC's core writes lines of its own past every logger, as of a port that is taken, where the log is JSON to its last line.
# It reads this when it is imported, so whoever runs a service imports this module first. All that it tells comes as an error.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

#: sysexits.h: the configuration is at fault. Starting again would not help.
EXIT_CONFIGURATION = 78


class Serve(Protocol):
    """A service from its start until it is told to stop."""

    def __call__(self, *, stop: asyncio.Event, started: asyncio.Event) -> Coroutine[Any, Any, None]:
        """Serve until `stop` is set; set `started` once the service does its work."""


def run_service(serve: Serve, *, name: str, faults: tuple[type[Exception], ...]) -> None:
    """Run a service until SIGTERM or SIGINT; a second signal ends the process at once.

    Args:
        serve: The service.
        name: Its command, for what is said to people.
        faults: Errors that a person has to mend: they are logged without a traceback, and the exit code is 78.
    """
    log.to_stderr()
    log.take_over()
    found: list[BaseException] = []
    try:
        asyncio.run(_until_signaled(serve, name=name))
    except* faults as group:
        found = leaves(group)
    if found:
        for fault in found:
            _log.error("service_cannot_run", service=name, problem=str(fault))
        sys.exit(EXIT_CONFIGURATION)


async def _until_signaled(serve: Serve, *, name: str) -> None:
    stop, started = asyncio.Event(), asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            # Nothing is lost: what was accepted is stored, and what is in hand comes again.
            os._exit(128 + number)
        _log.info("service_stopping", service=name, signal=number.name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    with pulse.beating(started):
        await serve(stop=stop, started=started)
    _log.info("service_stopped", service=name)


async def until_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    """Run something that ends only by being cancelled, until `stop` is set."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(work)
        await stop.wait()
        working.cancel()
