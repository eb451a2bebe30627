"""Options that several commands about runs share."""

from dataclasses import dataclass, field
from typing import Annotated

from isthmus_cli.options import Argument, Option, PrintOptions

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


@dataclass(frozen=True, kw_only=True)
class ConfigOptions(PrintOptions):
    """Options that give run config."""

    config: Annotated[
        str | None, Option("-c --config", metavar="FILE", help="Run config in YAML or JSON; - for stdin.")
    ] = None
    config_json: Annotated[str | None, Option(metavar="JSON", help="Run config as JSON text.")] = None
    assignments: Annotated[
        list[str],
        Option(
            "--set", metavar="PATH=VALUE", help="One value of the config: ops.load.config.limit=5", show_default=False
        ),
    ] = field(default_factory=list)


def run_config_of(options: ConfigOptions) -> str:
    """Read the run config that the options give, as JSON; empty where they give none."""
    if not (options.config or options.config_json or options.assignments):
        return ""
    from isthmus_cli.run_config import read_run_config

    return read_run_config(file=options.config, text=options.config_json, assignments=options.assignments)
