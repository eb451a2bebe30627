"""The command isthmus-monitor: reads the settings, runs until told to stop."""

import asyncio
import signal
import sys

from isthmus_broker import log, pulse
from isthmus_store.errors import PermanentStoreError

from isthmus_monitor.errors import SettingsError
from isthmus_monitor.service import run_monitor
from isthmus_monitor.settings import MonitorSettings, load_settings

_log = log.get_logger(__name__)

#: sysexits.h: the configuration is at fault.
_EXIT_CONFIGURATION = 78


def main() -> None:
    """Run the monitor. SIGTERM and SIGINT stop it; a second one ends it at once."""
    log.to_stderr()
    try:
        asyncio.run(_run(load_settings()))
    except* (SettingsError, PermanentStoreError) as faults:
        sys.stderr.write(f"{_first(faults)}\n")
        sys.exit(_EXIT_CONFIGURATION)


def _first(faults: BaseExceptionGroup[Exception]) -> BaseException:
    fault: BaseException = faults
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return fault


async def _run(settings: MonitorSettings) -> None:
    loop, started = asyncio.get_running_loop(), asyncio.Event()
    with pulse.beating(started):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(run_monitor(settings, started=started), name="monitor")

            def stop() -> None:
                for number in (signal.SIGTERM, signal.SIGINT):
                    # The next one has its default effect.
                    loop.remove_signal_handler(number)
                task.cancel()

            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop)
    _log.info("monitor_stopped")


if __name__ == "__main__":
    main()
