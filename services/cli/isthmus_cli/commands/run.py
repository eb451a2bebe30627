"""`isthmus run …`: ask for runs, look at them, end them."""

import sys
from typing import TYPE_CHECKING

from isthmus_cli.command import Group, command
from isthmus_cli.commands.run_options import (
    CancelOptions,
    DeleteOptions,
    LaunchOptions,
    ListOptions,
    LogsOptions,
    OneRunOptions,
    RequestOptions,
    RerunOptions,
    WatchOptions,
)
from isthmus_cli.run_name import brief_id
from isthmus_cli.session import connected, run_to_end

if TYPE_CHECKING:
    from isthmus.v1.control_plane_pb2 import LaunchRunRequest, Location, Run
    from isthmus_client.client import ControlPlaneClient

app = Group("run", help="Launch runs, watch them, look at them, end them.")


@command(app, "launch", options=LaunchOptions)
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

    config = _config_of(options)
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
        return await _watch(client, run_id=run_id, is_json=options.is_json)
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


@command(app, "validate", options=RequestOptions)
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

    config = _config_of(options)
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


@command(app, "watch", options=WatchOptions)
def watch(options: WatchOptions) -> None:
    """Show a run while it goes, from its beginning.

    Exit code: 0 succeeded, 1 failed, 3 canceled. Ctrl-C leaves the run going.
    """
    run_to_end(_watch_one(options))


async def _watch_one(options: WatchOptions) -> int:
    from isthmus_cli.run_name import id_of

    async with connected(options) as client:
        run_id = await id_of(client, options.run)
        return await _watch(client, run_id=run_id, is_json=options.is_json, after_position=options.after)


async def _watch(client: "ControlPlaneClient", *, run_id: str, is_json: bool, after_position: int = 0) -> int:
    import asyncio

    from isthmus_cli.view.output import note
    from isthmus_cli.watch import show_run

    try:
        return await show_run(client.watch_run(run_id, after_position=after_position), is_json=is_json)
    except asyncio.CancelledError:
        short = brief_id(run_id)
        note(f"\nThe run goes on.\nCome back:   isthmus run watch {short}\nEnd it:      isthmus run cancel {short}")
        raise


@command(app, "show", options=OneRunOptions)
def show(options: OneRunOptions) -> None:
    """Tell one run whole: what was asked for, how it stands, why it failed or waits."""
    run_to_end(_show(options))


async def _show(options: OneRunOptions) -> int:
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint
    from isthmus_cli.view.run import run_lines

    async with connected(options) as client:
        run = await client.find_run(options.run)
    if options.is_json:
        print_document(run)
    else:
        print_lines(run_lines(run, paint=Paint.of()))
    return 0


@command(app, "list", options=ListOptions)
def list_runs(options: ListOptions) -> None:
    """List runs, newest first."""
    run_to_end(_list(options))


async def _list(options: ListOptions) -> int:
    from isthmus_cli.run_query import runs_query
    from isthmus_cli.view.output import note, print_document, print_lines
    from isthmus_cli.view.paint import Paint
    from isthmus_cli.view.run import run_table

    query = runs_query(
        states=options.states,
        tags=options.tags,
        since=options.since,
        job=options.job,
        location=options.location,
    )
    query.page_size, query.page_token = options.limit, options.page
    async with connected(options) as client:
        page = await client.list_runs(query)
    if options.is_json:
        print_document(page)
    elif options.quiet:
        print_lines([run.request.run.run_id for run in page.runs])
    elif page.runs:
        print_lines(run_table(page.runs, paint=Paint.of(), room=options.room))
        if page.next_page_token:
            note(f"There are more: --page {page.next_page_token}")
    else:
        note("There are no such runs. Start one: isthmus run launch JOB")
    return 0


@command(app, "logs", options=LogsOptions)
def logs(options: LogsOptions) -> None:
    """Print what the run wrote: on a terminal merged by time, with the steps' names, without DEBUG.

    In a pipe the bytes come as they are, stdout to stdout and stderr to stderr, unless --level, --since or --tail choose
    among the lines. The output is fetched from the user's environment; the control plane keeps none of it.
    """
    run_to_end(_logs(options))


async def _logs(options: LogsOptions) -> int:
    import asyncio

    from isthmus_cli.log_view import Wanted, print_merged
    from isthmus_cli.logs import print_logs, streams_of
    from isthmus_cli.run_name import id_of
    from isthmus_cli.view.output import note

    streams = streams_of("stdout" if options.value else options.stream)
    wanted = Wanted.of(level=options.level, since=options.since, tail=options.tail)
    async with connected(options) as client:
        run_id = await id_of(client, options.run)
        chunks = client.stream_logs(
            run_id, streams=streams, follow=options.follow, step_key=options.step, value=options.value
        )
        try:
            if options.is_read_by_a_person(sys.stdout):
                await print_merged(chunks, wanted=wanted, is_following=options.follow)
            else:
                await print_logs(chunks, is_json=options.is_json, has_labels=not options.step)
        except asyncio.CancelledError:
            if options.follow:
                note(f"\nNothing was cancelled. Come back: isthmus run logs -f {brief_id(run_id)}")
            raise
    return 0


@command(app, "rerun", options=RerunOptions)
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


@command(app, "cancel", options=CancelOptions)
def cancel(options: CancelOptions) -> None:
    """Ask for a run's end: it may clean up, then it is killed.

    A run is CANCELED only when its process is proven gone.
    """
    run_to_end(_cancel(options))


async def _cancel(options: CancelOptions) -> int:
    from isthmus_cli.run_name import id_of
    from isthmus_cli.run_request import person
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint

    async with connected(options) as client:
        run_id = await id_of(client, options.run)
        run = await client.terminate_run(run_id, grace_s=options.grace, requested_by=person())
        if options.wait:
            return await _watch(
                client,
                run_id=run_id,
                is_json=options.is_json,
                after_position=run.last_position,
            )
    if options.is_json:
        print_document(run)
    else:
        print_lines([Paint.of().run_state(run.state)])
    return 0


@command(app, "delete", options=DeleteOptions)
def delete(options: DeleteOptions) -> None:
    """Delete runs that have ended, with their history.

    What assets are asked about stays: the newest materialization, the newest evaluation of a check. A run that goes on is
    not deleted: cancel it first.
    """
    run_to_end(_delete(options))


async def _delete(options: DeleteOptions) -> int:
    from isthmus_cli.deletion import confirm, delete_runs

    async with connected(options) as client:
        runs = [await client.find_run(name) for name in options.runs]
        if not options.yes:
            confirm(runs)
        return await delete_runs(client, runs, is_json=options.is_json)


app.alias("terminate", of="cancel")
app.alias("reexecute", of="rerun")


def _config_of(options: RequestOptions) -> str:
    if not (options.config or options.config_json or options.assignments):
        return ""
    from isthmus_cli.run_config import read_run_config

    return read_run_config(file=options.config, text=options.config_json, assignments=options.assignments)


async def _request(
    client: "ControlPlaneClient",
    *,
    options: RequestOptions,
    run_config_json: str,
) -> "LaunchRunRequest":
    from isthmus_cli.run_request import RunChoices, launch_request, needs_locations, resolve_target

    words = [word for word in (options.first, options.second) if word]
    locations = await _locations(client, has_job=bool(words)) if needs_locations(words) else ()
    choices = RunChoices(
        run_config_json=run_config_json,
        assets=tuple(options.assets),
        is_without_checks=options.no_checks,
        ops=tuple(options.ops),
        partition=options.partition,
        tags=tuple(options.tags),
        run_id=options.run_id if isinstance(options, LaunchOptions) else "",
    )
    return launch_request(resolve_target(words, has_assets=bool(options.assets), locations=locations), choices=choices)


async def _locations(client: "ControlPlaneClient", *, has_job: bool) -> "list[Location]":
    """Ask for the locations; where a choice may have to be explained, with what they define."""
    locations = list(await client.list_locations())
    if has_job and len(locations) == 1:
        return locations
    return [await client.get_location(location.settings.name) for location in locations]
