"""The command isthmus-control-plane: settings, log, signals, exit codes."""

import asyncio
import os
import signal
import sys

from isthmus_broker import log, pulse
from isthmus_broker.errors import PermanentBrokerError
from isthmus_store.errors import PermanentStoreError

from isthmus_control_plane.errors import PermanentControlPlaneError
from isthmus_control_plane.service import run_control_plane
from isthmus_control_plane.settings import ControlPlaneSettings, load_settings

_log = log.get_logger(__name__)

#: What cannot be mended by starting again.
_FATAL = (PermanentControlPlaneError, PermanentBrokerError, PermanentStoreError)
#: sysexits.h: the configuration is at fault.
_EXIT_CONFIGURATION = 78


def main() -> None:
    """Serve until SIGTERM or SIGINT; a second one ends it at once."""
    log.to_stderr()
    faults: list[BaseException] = []
    try:
        asyncio.run(_serve(load_settings()))
    except* _FATAL as group:
        faults = _leaves(group)
    if faults:
        for fault in faults:
            sys.stderr.write(f"isthmus-control-plane: {fault}\n")
        sys.exit(_EXIT_CONFIGURATION)


async def _serve(settings: ControlPlaneSettings) -> None:
    stop, started = asyncio.Event(), asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            # Nothing is lost: what was accepted is in the database.
            os._exit(128 + number)
        _log.info("control_plane_signaled", signal=number.name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    with pulse.beating(started):
        await run_control_plane(settings, stop=stop, started=started)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


if __name__ == "__main__":
    main()
