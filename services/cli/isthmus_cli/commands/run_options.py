"""Options that several of `isthmus run …` share."""

from dataclasses import dataclass
from typing import Annotated

from isthmus_cli.options import Argument, PrintOptions

RunName = Annotated[
    str,
    Argument(
        metavar="RUN",
        help="The run's id, or the beginning of it; latest or -1 for the newest, -2 for the one before.",
        takes_places=True,
        completes="runs",
    ),
]


@dataclass(frozen=True, kw_only=True)
class OneRunOptions(PrintOptions):
    """A command about one run."""

    run: RunName
