"""The options of `isthmus run …`."""

from dataclasses import dataclass, field
from typing import Annotated

import typer

from isthmus_cli.options import PrintOptions

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", show_default=False)]


@dataclass(frozen=True, kw_only=True)
class RequestOptions(PrintOptions):
    """What to run, and with what."""

    first: Annotated[
        str | None,
        typer.Argument(metavar="LOCATION", help="May be left out when there is only one.", show_default=False),
    ] = None
    second: Annotated[
        str | None,
        typer.Argument(metavar="JOB", help="May be left out with --assets.", show_default=False),
    ] = None
    config: Annotated[
        str | None,
        typer.Option("-c", "--config", metavar="FILE", help="Run config in YAML or JSON; - for stdin."),
    ] = None
    config_json: Annotated[str | None, typer.Option(metavar="JSON", help="Run config as JSON text.")] = None
    assignments: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="PATH=VALUE", help="One value of the config: ops.load.config.limit=5", show_default=False
        ),
    ] = field(default_factory=list)
    assets: Annotated[
        list[str],
        typer.Option(metavar="KEYS", help="Assets to materialize: a,b/c", show_default=False),
    ] = field(default_factory=list)
    ops: Annotated[
        list[str],
        typer.Option(metavar="OPS", help="Ops to execute, in the framework's selection syntax.", show_default=False),
    ] = field(default_factory=list)
    partition: Annotated[str, typer.Option(metavar="KEY", help="The partition.", show_default=False)] = ""
    tags: Annotated[
        list[str],
        typer.Option("--tag", metavar="K=V", help="A tag on the run.", show_default=False),
    ] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class LaunchOptions(RequestOptions):
    """`run launch`."""

    watch: Annotated[bool, typer.Option("-w", "--watch", help="Show the run to its end; exit with its state.")] = False
    run_id: Annotated[
        str,
        typer.Option(
            metavar="UUID", help="An id of your own: the same launch twice starts one run.", show_default=False
        ),
    ] = ""


@dataclass(frozen=True, kw_only=True)
class OneRunOptions(PrintOptions):
    """A command about one run."""

    run_id: RunId


@dataclass(frozen=True, kw_only=True)
class WatchOptions(OneRunOptions):
    """`run watch`."""

    after: Annotated[int, typer.Option(metavar="POSITION", help="Leave out the history up to here.", min=0)] = 0


@dataclass(frozen=True, kw_only=True)
class LogsOptions(OneRunOptions):
    """`run logs`."""

    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the run has ended.")] = False
    stream: Annotated[str | None, typer.Option(metavar="stdout|stderr", help="One of the two; both otherwise.")] = None
    step: Annotated[str, typer.Option("-s", "--step", metavar="STEP", help="One step's.", show_default=False)] = ""
    value: Annotated[
        str,
        typer.Option(metavar="SHA256", help="A value that was cut out of an event, by its hash.", show_default=False),
    ] = ""


@dataclass(frozen=True, kw_only=True)
class ReexecuteOptions(OneRunOptions):
    """`run reexecute`."""

    from_failure: Annotated[bool, typer.Option("--from-failure", help="Only the steps that failed or never ran.")] = (
        False
    )
    steps: Annotated[
        list[str],
        typer.Option(metavar="STEPS", help="Only these steps: load,report", show_default=False),
    ] = field(default_factory=list)
    tags: Annotated[
        list[str],
        typer.Option("--tag", metavar="K=V", help="A tag on the run, over its parent's.", show_default=False),
    ] = field(default_factory=list)
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Show the run to its end; exit with its state.")] = False
    new_run_id: Annotated[
        str,
        typer.Option("--run-id", metavar="UUID", help="An id of your own for the new run.", show_default=False),
    ] = ""


@dataclass(frozen=True, kw_only=True)
class TerminateOptions(OneRunOptions):
    """`run terminate`."""

    wait: Annotated[bool, typer.Option("-w", "--wait", help="Return when the run has ended; exit with its state.")] = (
        False
    )
    grace: Annotated[float, typer.Option(metavar="SECONDS", help="How long it may clean up.", min=0.0)] = 0.0


@dataclass(frozen=True, kw_only=True)
class ListOptions(PrintOptions):
    """`run list`."""

    states: Annotated[
        list[str],
        typer.Option("--state", metavar="STATE", help="As in RUNNING; several are alternatives.", show_default=False),
    ] = field(default_factory=list)
    job: Annotated[str, typer.Option(metavar="JOB", show_default=False)] = ""
    location: Annotated[str, typer.Option(metavar="LOCATION", show_default=False)] = ""
    tags: Annotated[
        list[str],
        typer.Option("--tag", metavar="K=V", help="Several must all be there.", show_default=False),
    ] = field(default_factory=list)
    since: Annotated[
        str,
        typer.Option(metavar="WHEN", help="Queued after: 30m, 2h, 7d, or a date and time.", show_default=False),
    ] = ""
    limit: Annotated[int, typer.Option(metavar="N", help="At the most so many.", min=1, max=500)] = 20
    page: Annotated[
        str, typer.Option(metavar="TOKEN", help="The next page, as the last one named it.", show_default=False)
    ] = ""
