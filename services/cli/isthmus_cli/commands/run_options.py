"""The options of `isthmus run …`."""

from dataclasses import dataclass, field
from typing import Annotated, TextIO

from isthmus_cli.options import Argument, ListingOptions, Option, PrintOptions

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
class RequestOptions(PrintOptions):
    """What to run, and with what."""

    first: Annotated[
        str | None,
        Argument(metavar="LOCATION", help="May be left out when there is only one.", completes="targets"),
    ] = None
    second: Annotated[
        str | None,
        Argument(metavar="JOB", help="May be left out with --assets.", completes="jobs"),
    ] = None
    config: Annotated[
        str | None,
        Option("-c --config", metavar="FILE", help="Run config in YAML or JSON; - for stdin."),
    ] = None
    config_json: Annotated[str | None, Option(metavar="JSON", help="Run config as JSON text.")] = None
    assignments: Annotated[
        list[str],
        Option(
            "--set", metavar="PATH=VALUE", help="One value of the config: ops.load.config.limit=5", show_default=False
        ),
    ] = field(default_factory=list)
    assets: Annotated[
        list[str],
        Option(
            metavar="ASSETS",
            help="Assets to materialize: keys, as in a,b/c, or Dagster's selection language: 'a+', 'group:sales', '*'.",
            show_default=False,
            completes="assets",
        ),
    ] = field(default_factory=list)
    no_checks: Annotated[bool, Option("--no-checks", help="Leave the checks of the assets out.")] = False
    ops: Annotated[
        list[str],
        Option(metavar="OPS", help="Ops to execute, in the framework's selection syntax.", show_default=False),
    ] = field(default_factory=list)
    partition: Annotated[str, Option(metavar="KEY", help="The partition.", show_default=False)] = ""
    tags: Annotated[
        list[str],
        Option("--tag", metavar="K=V", help="A tag on the run.", show_default=False),
    ] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class LaunchOptions(RequestOptions):
    """`run launch`."""

    watch: Annotated[bool, Option("-w --watch", help="Show the run to its end; exit with its state.")] = False
    validate: Annotated[
        bool,
        Option(
            "--validate/--no-validate",
            help="Ask the location's definitions first, when they serve; start nothing wrong.",
        ),
    ] = True
    run_id: Annotated[
        str,
        Option(metavar="UUID", help="An id of your own: the same launch twice starts one run.", show_default=False),
    ] = ""


@dataclass(frozen=True, kw_only=True)
class OneRunOptions(PrintOptions):
    """A command about one run."""

    run: RunName


@dataclass(frozen=True, kw_only=True)
class WatchOptions(OneRunOptions):
    """`run watch`."""

    after: Annotated[int, Option(metavar="POSITION", help="Leave out the history up to here.", min=0)] = 0


@dataclass(frozen=True, kw_only=True)
class LogsOptions(OneRunOptions):
    """`run logs`."""

    follow: Annotated[bool, Option("-f --follow", help="Go on until the run has ended.")] = False
    stream: Annotated[str | None, Option(metavar="stdout|stderr", help="One of the two; both otherwise.")] = None
    step: Annotated[str, Option("-s --step", metavar="STEP", help="One step's.", show_default=False)] = ""
    level: Annotated[
        str,
        Option(
            metavar="LEVEL", help="Records from this level up; info, unless debug is asked for.", show_default=False
        ),
    ] = ""
    since: Annotated[
        str, Option(metavar="WHEN", help="What was written after: 30m, 2h, or a date and time.", show_default=False)
    ] = ""
    tail: Annotated[int | None, Option("-n --tail", metavar="N", help="The last N lines.", min=0)] = None
    raw: Annotated[bool, Option("--raw", help="The bytes as they are, as in a pipe.")] = False
    value: Annotated[
        str,
        Option(metavar="SHA256", help="A value that was cut out of an event, by its hash.", show_default=False),
    ] = ""

    def is_read_by_a_person(self, stream: TextIO) -> bool:
        """Tell whether lines are wanted rather than bytes."""
        if self.is_json or self.value or self.raw:
            return False
        return stream.isatty() or bool(self.level or self.since or self.tail is not None)


@dataclass(frozen=True, kw_only=True)
class RerunOptions(OneRunOptions):
    """`run rerun`."""

    from_failure: Annotated[bool, Option("--from-failure", help="Only the steps that failed or never ran.")] = False
    steps: Annotated[
        list[str],
        Option(metavar="STEPS", help="Only these steps: load,report", show_default=False),
    ] = field(default_factory=list)
    tags: Annotated[
        list[str],
        Option("--tag", metavar="K=V", help="A tag on the run, over its parent's.", show_default=False),
    ] = field(default_factory=list)
    watch: Annotated[bool, Option("-w --watch", help="Show the run to its end; exit with its state.")] = False
    new_run_id: Annotated[
        str,
        Option("--run-id", metavar="UUID", help="An id of your own for the new run.", show_default=False),
    ] = ""


@dataclass(frozen=True, kw_only=True)
class CancelOptions(OneRunOptions):
    """`run cancel`."""

    wait: Annotated[bool, Option("-w --wait", help="Return when the run has ended; exit with its state.")] = False
    grace: Annotated[float, Option(metavar="SECONDS", help="How long it may clean up.", min=0.0)] = 0.0


@dataclass(frozen=True, kw_only=True)
class DeleteOptions(PrintOptions):
    """`run delete`."""

    runs: Annotated[
        list[str],
        Argument(
            metavar="RUN...",
            help="Ids or beginnings of them, latest, -1 and so on.",
            takes_places=True,
            completes="runs",
        ),
    ]
    yes: Annotated[bool, Option("-y --yes", help="Do not ask.")] = False


@dataclass(frozen=True, kw_only=True)
class ListOptions(ListingOptions):
    """`run list`."""

    states: Annotated[
        list[str],
        Option("--state", metavar="STATE", help="As in RUNNING; several are alternatives.", completes="states"),
    ] = field(default_factory=list)
    job: Annotated[str, Option(metavar="JOB", completes="jobs")] = ""
    location: Annotated[str, Option(metavar="LOCATION", completes="locations")] = ""
    tags: Annotated[
        list[str],
        Option("--tag", metavar="K=V", help="Several must all be there.", show_default=False),
    ] = field(default_factory=list)
    since: Annotated[
        str,
        Option(metavar="WHEN", help="Queued after: 30m, 2h, 7d, or a date and time.", show_default=False),
    ] = ""
    quiet: Annotated[bool, Option("-q --quiet", help="The runs' ids alone.")] = False
    limit: Annotated[int, Option(metavar="N", help="At the most so many.", min=1, max=500)] = 20
    page: Annotated[
        str, Option(metavar="TOKEN", help="The next page, as the last one named it.", show_default=False)
    ] = ""
