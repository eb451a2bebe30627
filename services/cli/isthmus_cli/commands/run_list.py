"""`isthmus run list`: look at many runs."""

from dataclasses import dataclass, field
from typing import Annotated

from isthmus_cli.command import command
from isthmus_cli.commands.run_group import app
from isthmus_cli.options import ListingOptions, Option
from isthmus_cli.session import connected, run_to_end


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
