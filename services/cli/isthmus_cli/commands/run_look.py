"""`isthmus run watch`, `show`, `list` and `logs`: look at runs."""

import sys
from typing import TYPE_CHECKING

from isthmus_cli.command import command
from isthmus_cli.commands.run_group import app
from isthmus_cli.commands.run_options import (
    ListOptions,
    LogsOptions,
    OneRunOptions,
    WatchOptions,
)
from isthmus_cli.run_name import brief_id
from isthmus_cli.session import connected, run_to_end

if TYPE_CHECKING:
    from isthmus_client.client import ControlPlaneClient


@command(
    app,
    "watch",
    options=WatchOptions,
    examples=(
        "isthmus run watch latest",
        "isthmus run watch 5d34c8ac -o json | jq .event.kind",
    ),
)
def watch(options: WatchOptions) -> None:
    """Show a run while it goes, from its beginning.

    Exit code: 0 succeeded, 1 failed, 3 canceled. Ctrl-C leaves the run going.
    """
    run_to_end(_watch_one(options))


async def _watch_one(options: WatchOptions) -> int:
    from isthmus_cli.run_name import id_of

    async with connected(options) as client:
        run_id = await id_of(client, options.run)
        return await watch_to_end(client, run_id=run_id, is_json=options.is_json, after_position=options.after)


async def watch_to_end(client: "ControlPlaneClient", *, run_id: str, is_json: bool, after_position: int = 0) -> int:
    """Show a run to its end and return the exit code that its end deserves."""
    import asyncio

    from isthmus_cli.view.output import note
    from isthmus_cli.watch import show_run

    try:
        return await show_run(client.watch_run(run_id, after_position=after_position), is_json=is_json)
    except asyncio.CancelledError:
        short = brief_id(run_id)
        note(f"\nThe run goes on.\nCome back:   isthmus run watch {short}\nEnd it:      isthmus run cancel {short}")
        raise


@command(
    app,
    "show",
    options=OneRunOptions,
    examples=(
        "isthmus run show latest",
        "isthmus run show -2                 # the run before the newest",
    ),
)
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


@command(
    app,
    "why",
    options=OneRunOptions,
    examples=("isthmus run why latest",),
)
def why(options: OneRunOptions) -> None:
    """Tell why a run waits, and who has what it waits for; of one that began, where its time went."""
    run_to_end(_why(options))


async def _why(options: OneRunOptions) -> int:
    from isthmus_cli.run_name import id_of
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint
    from isthmus_cli.view.queue import explanation_lines

    async with connected(options) as client:
        explanation = await client.explain_run(await id_of(client, options.run))
    if options.is_json:
        print_document(explanation)
    else:
        print_lines(explanation_lines(explanation, paint=Paint.of()))
    return 0


@command(
    app,
    "list",
    options=ListOptions,
    examples=(
        "isthmus run list --state failed --since 1d",
        "isthmus run list --tag team=data -o wide",
    ),
)
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


@command(
    app,
    "logs",
    options=LogsOptions,
    examples=(
        "isthmus run logs latest -f",
        "isthmus run logs 5d34c8ac --step load --level debug",
        "isthmus run logs latest > output.txt",
    ),
)
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
