"""Options as annotations: a command takes one frozen dataclass whose fields say how they are written on the command line."""

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

if TYPE_CHECKING:
    from isthmus_cli.view.table import Room


@dataclass(frozen=True)
class Argument:
    """A field that is written by its place."""

    _: KW_ONLY
    metavar: str
    help: str = ""
    #: Whether `-1` and the like are values here, not options.
    takes_places: bool = False
    #: What the shell completes it with: a word that `isthmus_cli.completion` knows.
    completes: str = ""


@dataclass(frozen=True)
class Option:
    """A field that is written by a name."""

    #: As in `-o --output`, `--wait/--no-wait`; none: the field's own name.
    flags: str = ""
    _: KW_ONLY
    metavar: str | None = None
    help: str = ""
    min: float | None = None
    max: float | None = None
    envvar: str | None = None
    show_default: bool = True
    #: As an argument's.
    completes: str = ""


class OutputFormat(StrEnum):
    """How results are printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"


@dataclass(frozen=True, kw_only=True)
class Options:
    """A command's options. Subclasses are frozen dataclasses; their fields are annotated with `Argument` or `Option`."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions(Options):
    """Which control plane, and which deployment of it."""

    server: Annotated[
        str | None,
        Option(
            "--server",
            metavar="HOST:PORT",
            help="Address of the control plane [env: ISTHMUS_SERVER; else a running `isthmus dev`; else 127.0.0.1:7070].",
        ),
    ] = None
    deployment: Annotated[
        str | None,
        Option("--deployment", metavar="NAME", help="The deployment [env: ISTHMUS_DEPLOYMENT; else default]."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class PrintOptions(ServerOptions):
    """The options of a command that prints."""

    output: Annotated[
        OutputFormat,
        Option(
            "-o --output", help="table fits the window, wide has all columns and cuts nothing, json has stable names."
        ),
    ] = OutputFormat.TABLE
    json: Annotated[bool, Option("--json", help="The same as -o json.")] = False

    @property
    def is_json(self) -> bool:
        """Whether to print for scripts."""
        return self.json or self.output is OutputFormat.JSON


@dataclass(frozen=True, kw_only=True)
class ListingOptions(PrintOptions):
    """The options of a command that prints a table."""

    no_headers: Annotated[bool, Option("--no-headers", help="Leave the table's head out.")] = False

    @property
    def room(self) -> "Room":
        """The room that the table has."""
        from isthmus_cli.view.table import Room

        return Room.of(is_wide=self.output is OutputFormat.WIDE, has_head=not self.no_headers)
