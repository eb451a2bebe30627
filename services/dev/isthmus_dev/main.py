"""The command line of `isthmus dev`: options in, one event loop, an exit code that tells how it ended."""

import asyncio
import importlib
import os
import signal
import sys
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from isthmus_cli.collector import rest_collector, wake_collector
from isthmus_cli.command import built
from isthmus_cli.terminal import tolerate_encodings

from isthmus_dev.descendant import kill_descendants
from isthmus_dev.errors import DevError, TargetError
from isthmus_dev.folder import DataFolder
from isthmus_dev.options import DevOptions, Start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isthmus.v1.control_plane_pb2 import LocationSettings

    from isthmus_dev.python.equip import Equipment
    from isthmus_dev.screen import Screen
    from isthmus_dev.settings import DevSettings
    from isthmus_dev.target import Targets

#: 128 + SIGINT.
_INTERRUPTED = 130


def dev(options: DevOptions) -> None:
    """Run everything on this machine: broker, control plane, monitor, and an agent with your definitions.

    -m, -f, -p and -w may be repeated. Without them, the folder's project is loaded, as `dagster dev` and `dg dev` find it:
    [tool.dagster] or [tool.dg] of pyproject.toml, dg.toml, workspace.yaml.
    """
    from isthmus_dev.log import log_to
    from isthmus_dev.screen import Screen

    settings, screen = _settings_of(options), Screen()
    with settings.folder.owned():
        log_to(settings.folder.log_file, is_verbose=options.verbose)
        try:
            asyncio.run(_run(settings, options, screen=screen))
        finally:
            kill_descendants()


def main() -> NoReturn:
    """Run the command line and exit: 0 stopped by a person, 1 failed, 2 wrong options."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    rest_collector()
    # As `dagster dev` says it: integrations then prepare their projects at each load, as dbt's writes its manifest.
    os.environ.setdefault("DAGSTER_IS_DEV_CLI", "1")
    tolerate_encodings(sys.stdout, sys.stderr)
    try:
        sys.exit(built("dev", dev, options=DevOptions).main(prog_name="isthmus dev"))
    except BaseExceptionGroup as group:
        _complain(group)
    except Exception as error:  # noqa: BLE001 - the outermost boundary: everything becomes a line and an exit code
        _complain(error)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    sys.exit(0)


async def _run(settings: "DevSettings", options: DevOptions, *, screen: "Screen") -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        whole = _Whole(settings, options, screen=screen, stop=stop, ready=ready)
        running = group.create_task(whole.run())
        interruption = Interruption(folder=settings.folder, screen=screen, stop=stop, ready=ready, running=running)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interruption.receive)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            loop.add_signal_handler(signal.SIGHUP, screen.lose)
        screen.on_lost = interruption.lose


@dataclass(frozen=True)
class _Whole:
    """Everything, from the broker to the last location."""

    settings: "DevSettings"
    options: DevOptions
    _: KW_ONLY
    screen: "Screen"
    stop: asyncio.Event
    ready: asyncio.Event

    async def run(self) -> None:
        """Begin the broker, which takes the longest, and beside it all that does not need it; run until told to stop."""
        from isthmus_dev.broker import open_broker
        from isthmus_dev.port import check_port

        check_port(self.settings.port)
        settings, agent = self.settings, None
        # A first start may well fail for want of a Python that fits, and says so before anything has to be stopped again.
        is_first = not settings.folder.has_served
        if is_first:
            settings = await self._equipped()
        async with open_broker(settings, screen=self.screen) as broker, asyncio.TaskGroup() as group:
            if not is_first:
                settings = await self._equipped()
                # What the agent served last is imported, and so are our own parts: neither needs the broker.
                agent = (await _imported("isthmus_dev.agent")).begin_agent(group, settings, broker=broker)
            stack_type = (await _imported("isthmus_dev.stack")).Stack
            wake_collector()
            stack = stack_type(settings=settings, screen=self.screen, group=group, broker=broker, agent=agent)
            await stack.run(stop=self.stop, ready=self.ready)

    async def _equipped(self) -> "DevSettings":
        return await asyncio.to_thread(_equipped, self.settings, self.options, screen=self.screen)


async def _imported(module: str) -> Any:
    """Import a module in a thread: signals and what has begun already go on meanwhile."""
    return await asyncio.to_thread(importlib.import_module, module)


@dataclass(kw_only=True)
class Interruption:
    """What signals do: the first stops in order, the second ends everything at once.

    A terminal that is closed says so several times: it stops in order, and never at once.
    """

    folder: DataFolder
    screen: "Screen"
    stop: asyncio.Event
    ready: asyncio.Event
    running: "asyncio.Task[None]"
    is_stopping: bool = False

    def receive(self) -> None:
        """Take a signal."""
        if self.is_stopping:
            self.folder.withdraw()
            kill_descendants()
            os._exit(_INTERRUPTED)
        self._stop()

    def lose(self) -> None:
        """Take notice that nobody reads any more."""
        if not self.is_stopping:
            self._stop()

    def _stop(self) -> None:
        self.is_stopping = True
        self.screen.say("", "Stopping (Ctrl-C again to stop at once)")
        if self.ready.is_set():
            self.stop.set()
        else:
            # Half started, there is no order to keep: each part closes itself as it is cancelled.
            self.running.cancel()


def _settings_of(options: DevOptions) -> "DevSettings":
    from isthmus_cli.project.limits import project_limits

    from isthmus_dev.port import console_port
    from isthmus_dev.settings import DevSettings

    targets = _targets_of(options)
    return DevSettings(
        folder=DataFolder(options.data_dir.absolute()),
        targets=targets.locations,
        origin=targets.origin,
        port=options.port,
        console_port=None if options.no_console else console_port(options.console_port),
        opens_console=options.open,
        broker_url=options.broker_url,
        is_watching=not options.no_watch,
        limits=project_limits(Path.cwd()),
    )


def _targets_of(options: DevOptions) -> "Targets":
    from isthmus_cli.location_file import START_METHODS

    from isthmus_dev.target import TargetOptions, resolve_targets

    wanted = TargetOptions(
        workspaces=options.workspaces,
        modules=options.modules,
        files=options.files,
        packages=options.packages,
        attribute=options.attribute,
        working_directory=options.working_directory,
        name=options.name,
        start=None if options.start is Start.AUTO else START_METHODS[options.start.value],
    )
    return resolve_targets(wanted, folder=Path.cwd())


def _equipped(settings: "DevSettings", options: DevOptions, *, screen: "Screen") -> "DevSettings":
    """Find the Python of each location, and lend it the code server where it has none."""
    with screen.step("python") as step:
        equipment = _equip(settings.targets, options, folder=settings.folder)
        step.facts = equipment.lines[0]
    screen.say(*(f"  {'python':14}{line}" for line in equipment.lines[1:]))

    def find() -> "Sequence[LocationSettings]":
        targets = _targets_of(options).locations
        if any(python not in equipment.lent for python in _equip(targets, options, folder=settings.folder).lent):
            raise TargetError(
                "a new location has a Python that lacks the code server.", remedy="Start isthmus dev again."
            )
        return targets

    return replace(settings, lent=equipment.lent, find=find if settings.origin is not None else None)


def _equip(targets: "Sequence[LocationSettings]", options: DevOptions, *, folder: DataFolder) -> "Equipment":
    from isthmus_dev.python.equip import equip
    from isthmus_dev.python.find import find_python

    chosen = find_python(options.python, folder=Path.cwd() / (options.working_directory or ""))
    return equip(targets, chosen=chosen, folder=folder.lent_dir)


def _complain(error: BaseException) -> NoReturn:
    from isthmus_cli.file_fault import error_text
    from isthmus_cli.view.output import note
    from isthmus_client.errors import ClientError
    from isthmus_lifecycle.leaves import leaves

    cause = leaves(error)[0]
    note(f"Error: {error_text(cause)}")
    if isinstance(cause, DevError | ClientError) and cause.remedy:
        note(cause.remedy)
    elif isinstance(cause, OSError) and cause.filename:
        note("Look at it, or keep the data elsewhere with --data-dir.")
    sys.exit(1)
