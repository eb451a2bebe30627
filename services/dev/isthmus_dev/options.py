"""What can be said to `isthmus dev`."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from isthmus_cli.options import Option, Options
from isthmus_client.discovery import STATE_FOLDER


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
    console_port: Annotated[
        int | None,
        Option(
            metavar="PORT",
            help="Where the console's pages are; else 7071, or any that is free.",
            min=0,
            max=65535,
            show_default=False,
        ),
    ] = None
    open: Annotated[bool, Option(help="Open the console in a browser.")] = False
    no_console: Annotated[bool, Option(help="Serve no pages.")] = False
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
