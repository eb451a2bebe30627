"""`isthmus run launch`, `validate` and `rerun`: ask for runs."""

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from isthmus_cli.command import command
from isthmus_cli.commands.run_group import app
from isthmus_cli.commands.run_look import watch_to_end
from isthmus_cli.commands.run_options import ConfigOptions, OneRunOptions, run_config_of
from isthmus_cli.options import Argument, Option
from isthmus_cli.run_name import brief_id
from isthmus_cli.session import connected, run_to_end

if TYPE_CHECKING:
    from isthmus.v1.control_plane_pb2 import LaunchRunRequest, Run
    from isthmus_client.client import ControlPlaneClient


@dataclass(frozen=True, kw_only=True)
class RequestOptions(ConfigOptions):
    """What to run, and with what."""

    first: Annotated[
        str | None,
        Argument(metavar="LOCATION", help="May be left out when there is only one.", completes="targets"),
    ] = None
    second: Annotated[
        str | None,
        Argument(metavar="JOB", help="May be left out with --assets.", completes="jobs"),
    ] = None
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
class RerunOptions(OneRunOptions):
    """`run rerun`."""

    from_failure: Annotated[bool, Option("--from-failure", help="Only the steps that failed or never ran.")] = False
    steps: Annotated[
        list[str],
        Option(
            metavar="STEPS",
            help="Only these steps: load,report; 'clean+' for one and what follows it.",
            show_default=False,
        ),
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


@command(
    app,
    "launch",
    options=LaunchOptions,
    examples=(
        "isthmus run launch nightly --watch",
        "isthmus run launch nightly --partition 2030-01-31 --tag team=data",
        "isthmus run launch --assets raw/trips,daily",
        "isthmus run launch etl nightly -c config.yaml --set ops.load.config.limit=5",
    ),
)
def launch(options: LaunchOptions) -> None:
    """Ask for a run.

    Exit code with --watch: 0 succeeded, 1 failed, 3 canceled.
    """
    run_to_end(_launch(options))


async def _launch(options: LaunchOptions) -> int:
    from isthmus_cli.exit_code import ExitCode
    from isthmus_cli.launch import launch_run, refusal_lines
    from isthmus_cli.view.output import note
    from isthmus_cli.view.paint import Paint

    config = run_config_of(options)
    async with connected(options) as client:
        request = await _request(client, options=options, run_config_json=config)
        launched = await launch_run(client, request, is_validated=options.validate)
        if launched.run is None:
            faults = refusal_lines(launched.verdict, paint=Paint.of(sys.stderr))
            note("\n".join(["Error: the launch is not valid, and nothing was started:", *faults]))
            return ExitCode.INVALID
        return await _after_launch(client, launched.run, options=options)


async def _after_launch(client: "ControlPlaneClient", run: "Run", *, options: LaunchOptions | RerunOptions) -> int:
    from isthmus_cli.view.output import note, print_document, print_lines

    run_id = run.request.run.run_id
    if options.watch:
        note(f"Run {run_id}")
        return await watch_to_end(client, run_id=run_id, is_json=options.is_json)
    if options.is_json:
        print_document(run)
    else:
        print_lines([run_id])
        note("\n".join([*_waits(run), f"Watch it: isthmus run watch {brief_id(run_id)}"]))
    return 0


def _waits(run: "Run") -> list[str]:
    """Say why a run waits, when there is more to it than its turn."""
    from isthmus.v1.control_plane_pb2 import RunState

    return [f"It waits: {run.message}"] if run.state == RunState.RUN_STATE_QUEUED and run.message else []


@command(
    app,
    "validate",
    options=RequestOptions,
    examples=("isthmus run validate nightly -c config.yaml",),
)
def validate(options: RequestOptions) -> None:
    """Ask the location whether a launch would be accepted; nothing is started.

    Exit code: 0 it would, 2 it would not.
    """
    run_to_end(_validate(options))


async def _validate(options: RequestOptions) -> int:
    from isthmus_cli.exit_code import ExitCode
    from isthmus_cli.launch import is_valid, refusal_lines
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint

    config = run_config_of(options)
    async with connected(options) as client:
        answer = await client.validate_run(await _request(client, options=options, run_config_json=config))
    is_good = is_valid(answer)
    if options.is_json:
        print_document(answer)
    elif is_good:
        print_lines([Paint.of().green("✓") + " valid"])
    else:
        paint = Paint.of()
        print_lines([paint.red("not valid"), *refusal_lines(answer, paint=paint)])
    return ExitCode.OK if is_good else ExitCode.INVALID


@command(
    app,
    "rerun",
    options=RerunOptions,
    examples=(
        "isthmus run rerun latest --from-failure --watch",
        "isthmus run rerun 5d34c8ac --steps load,report",
    ),
)
def rerun(options: RerunOptions) -> None:
    """Launch a run that does again what an ended run did, or the part of it that failed.

    Exit code with --watch: 0 succeeded, 1 failed, 3 canceled.
    """
    run_to_end(_rerun(options))


async def _rerun(options: RerunOptions) -> int:
    from isthmus_cli.run_name import id_of
    from isthmus_cli.run_request import reexecution

    async with connected(options) as client:
        request = reexecution(
            await id_of(client, options.run),
            is_from_failure=options.from_failure,
            steps=options.steps,
            tags=options.tags,
            run_id=options.new_run_id,
        )
        run = await client.reexecute_run(request)
        return await _after_launch(client, run, options=options)


async def _request(
    client: "ControlPlaneClient",
    *,
    options: RequestOptions,
    run_config_json: str,
) -> "LaunchRunRequest":
    from isthmus_cli.launch import target_of
    from isthmus_cli.run_request import RunChoices, launch_request

    words = [word for word in (options.first, options.second) if word]
    target = await target_of(client, words, has_assets=bool(options.assets))
    choices = RunChoices(
        run_config_json=run_config_json,
        assets=tuple(options.assets),
        is_without_checks=options.no_checks,
        ops=tuple(options.ops),
        partition=options.partition,
        tags=tuple(options.tags),
        run_id=options.run_id if isinstance(options, LaunchOptions) else "",
    )
    return launch_request(target, choices=choices)
