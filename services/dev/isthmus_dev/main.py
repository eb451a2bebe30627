"""The command line of `isthmus dev`: options in, one event loop, an exit code that tells how it ended."""

import asyncio
import importlib
import os
import signal
import sys
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from isthmus_cli.collector import rest_collector, wake_collector
from isthmus_cli.command import built
from isthmus_cli.options import Option, Options
from isthmus_cli.terminal import tolerate_encodings
from isthmus_client.discovery import STATE_FOLDER

from isthmus_dev.descendant import kill_descendants
from isthmus_dev.errors import DevError, TargetError
from isthmus_dev.folder import DataFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isthmus.v1.control_plane_pb2 import LocationSettings

    from isthmus_dev.python.equip import Equipment
    from isthmus_dev.screen import Screen
    from isthmus_dev.settings import DevSettings
    from isthmus_dev.target import Targets

#: 128 + SIGINT.
_INTERRUPTED = 130


class Start(StrEnum):
    """How runs begin."""

    AUTO = "auto"
    FORK = "fork"
    SPAWN = "spawn"


@dataclass(frozen=True, kw_only=True)
class DevOptions(Options):
    """`isthmus dev`."""

    workspaces: Annotated[
        list[Path], Option("-w --workspace", metavar="PATH", help="A workspace.yaml.", show_default=False)
    ] = field(default_factory=list)
    modules: Annotated[
        list[str],
        Option(
            "-m --module",
            metavar="MODULE",
            help="A module that is imported, as in my_project.definitions.",
            show_default=False,
        ),
    ] = field(default_factory=list)
    files: Annotated[list[str], Option("-f --file", metavar="PATH", help="A Python file.", show_default=False)] = field(
        default_factory=list
    )
    packages: Annotated[
        list[str],
        Option(
            "-p --package",
            metavar="PACKAGE",
            help="A package whose __init__.py has the definitions.",
            show_default=False,
        ),
    ] = field(default_factory=list)
    attribute: Annotated[
        str,
        Option("-a --attribute", metavar="NAME", help="The definitions in it; else the only ones.", show_default=False),
    ] = ""
    working_directory: Annotated[
        Path | None,
        Option(
            "-d --working-directory", metavar="PATH", help="Where the definitions are imported.", show_default=False
        ),
    ] = None
    name: Annotated[str, Option("-n --name", metavar="NAME", help="The location's name.", show_default=False)] = ""
    python: Annotated[
        str,
        Option(
            metavar="PATH",
            help="The Python that the definitions are for; else the active environment's, or the project's own.",
            show_default=False,
        ),
    ] = ""
    start: Annotated[
        Start,
        Option(help="How runs begin; auto finds out whether what your code imports can be forked.", show_default=False),
    ] = Start.AUTO
    port: Annotated[int, Option(metavar="PORT", help="Where the API listens; 0 for any.", min=0, max=65535)] = 7070
    data_dir: Annotated[Path, Option(metavar="PATH", help="Runs and locations are kept here.")] = Path(STATE_FOLDER)
    broker_url: Annotated[
        str,
        Option(
            metavar="URL",
            envvar="ISTHMUS_BROKER_URL",
            help="A RabbitMQ of your own instead of a private one.",
            show_default=False,
        ),
    ] = ""
    no_watch: Annotated[bool, Option(help="Do not load the project anew when its files change.")] = False
    verbose: Annotated[bool, Option("-v --verbose", help="Show the services' logs.")] = False


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
        settings = _equipped(settings, options, screen=screen)
        try:
            asyncio.run(_run(settings, screen=screen))
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


async def _run(settings: "DevSettings", *, screen: "Screen") -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(_run_all(settings, screen=screen, stop=stop, ready=ready))
        interruption = Interruption(folder=settings.folder, screen=screen, stop=stop, ready=ready, running=running)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interruption.receive)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            loop.add_signal_handler(signal.SIGHUP, screen.lose)
        screen.on_lost = interruption.lose


async def _run_all(settings: "DevSettings", *, screen: "Screen", stop: asyncio.Event, ready: asyncio.Event) -> None:
    from isthmus_dev.broker import open_broker
    from isthmus_dev.port import check_port

    check_port(settings.port)
    async with open_broker(settings, screen=screen) as broker, asyncio.TaskGroup() as group:
        agent = None
        if settings.folder.has_served:
            # The broker starts, the definitions and our own parts are imported: each takes seconds, and none needs another.
            agent = (await _imported("isthmus_dev.agent")).begin_agent(group, settings, broker=broker)
        stack_type = (await _imported("isthmus_dev.stack")).Stack
        wake_collector()
        stack = stack_type(settings=settings, screen=screen, group=group, broker=broker, agent=agent)
        await stack.run(stop=stop, ready=ready)


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

    from isthmus_dev.settings import DevSettings

    targets = _targets_of(options)
    return DevSettings(
        folder=DataFolder(options.data_dir.absolute()),
        targets=targets.locations,
        origin=targets.origin,
        port=options.port,
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
