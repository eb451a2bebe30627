"""`isthmus backfill …`: runs for many partitions at once, how far they came, and what of them failed."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from isthmus_cli.command import Group, command
from isthmus_cli.commands.run_options import ConfigOptions, run_config_of
from isthmus_cli.options import Argument, ListingOptions, Option, PrintOptions
from isthmus_cli.session import connected, run_to_end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from isthmus.v1.control_plane_pb2 import Backfill, BackfillGroup, BackfillRun, CreateBackfillRequest
    from isthmus_client.client import ControlPlaneClient

    from isthmus_cli.backfill_request import BackfillChoices

app = Group("backfill", help="Make runs for many partitions, see how far they came, and do again what failed.")

#: What one call tells.
_PAGE = 1000

BackfillId = Annotated[
    str, Argument(metavar="BACKFILL", help="The backfill's id: eight letters.", completes="backfills")
]


@dataclass(frozen=True, kw_only=True)
class SelectionOptions(PrintOptions):
    """Which partitions of what."""

    first: Annotated[
        str | None,
        Argument(metavar="LOCATION", help="May be left out when one alone has the job.", completes="targets"),
    ] = None
    second: Annotated[
        str | None, Argument(metavar="JOB", help="A job with partitions; left out with --assets.", completes="jobs")
    ] = None
    assets: Annotated[
        list[str],
        Option(
            metavar="ASSETS",
            help="Assets of any locations in place of a job: keys, as in a,b/c, or Dagster's selection language: 'a+'.",
            show_default=False,
            completes="catalog",
        ),
    ] = field(default_factory=list)
    partitions: Annotated[
        list[str], Option("--partition", metavar="KEY", help="A partition; give it several times.", show_default=False)
    ] = field(default_factory=list)
    ranges: Annotated[
        list[str],
        Option("--range", metavar="FIRST..LAST", help="Partitions side by side, both ends too.", show_default=False),
    ] = field(default_factory=list)
    all: Annotated[bool, Option("--all", help="Every partition that there is now.")] = False


# The help lists the options of the last base first.
@dataclass(frozen=True, kw_only=True)
class PreviewOptions(ConfigOptions, SelectionOptions):
    """`backfill preview`."""

    tags: Annotated[
        list[str],
        Option("--tag", metavar="K=V", help="A tag on each run. dagster/priority is -1 without.", show_default=False),
    ] = field(default_factory=list)
    max_runs: Annotated[
        int, Option(metavar="N", min=1, max=1000, help="So many runs of it are unfinished at once, and no more.")
    ] = 1000


@dataclass(frozen=True, kw_only=True)
class CreateOptions(PreviewOptions):
    """`backfill create`."""

    dry_run: Annotated[bool, Option("--dry-run", help="Only tell, as `isthmus backfill preview` does.")] = False
    backfill_id: Annotated[
        str,
        Option("--id", metavar="ID", help="An id of your own: the same twice makes one backfill.", show_default=False),
    ] = ""


@dataclass(frozen=True, kw_only=True)
class ListOptions(ListingOptions):
    """`backfill list`."""

    states: Annotated[
        list[str],
        Option("--state", metavar="STATE", help="As in RUNNING; several are alternatives.", show_default=False),
    ] = field(default_factory=list)
    job: Annotated[str, Option(metavar="JOB", completes="jobs", show_default=False)] = ""
    location: Annotated[str, Option(metavar="LOCATION", completes="locations", show_default=False)] = ""
    limit: Annotated[int, Option(metavar="N", min=1, max=500, help="So many of the newest.")] = 20


@dataclass(frozen=True, kw_only=True)
class OneOptions(PrintOptions):
    """A command about one backfill."""

    backfill: BackfillId


@dataclass(frozen=True, kw_only=True)
class RunsOptions(ListingOptions, OneOptions):
    """`backfill runs`."""

    failed: Annotated[bool, Option("--failed", help="Only those that failed or were canceled.")] = False
    limit: Annotated[int, Option(metavar="N", min=1, max=1_000_000, help="So many at the most.")] = 1000


@dataclass(frozen=True, kw_only=True)
class RetryOptions(OneOptions):
    """`backfill retry`."""

    new_id: Annotated[
        str,
        Option("--id", metavar="ID", help="An id of your own for the new backfill.", show_default=False),
    ] = ""


@command(
    app,
    "create",
    options=CreateOptions,
    examples=(
        "isthmus backfill create daily_load --range 2030-01-01..2030-01-31",
        "isthmus backfill create etl daily_load --partition 2030-01-05 --partition 2030-01-09",
        "isthmus backfill create --assets 'raw/trips+' --range 2030-01-01..2030-01-31",
        "isthmus backfill create daily_load --all --max-runs 10 --dry-run",
    ),
)
def create(options: CreateOptions) -> None:
    """Make runs for partitions of a job or of assets, a bounded number at a time. Other runs go before them."""
    run_to_end(_create(options))


async def _create(options: CreateOptions) -> int:
    from isthmus_cli.view.backfill import made_text
    from isthmus_cli.view.output import note, print_document, print_lines

    if options.dry_run:
        return await _preview(options)
    choices = _choices(options)
    async with connected(options) as client:
        backfill = await client.create_backfill(await _request(client, options=options, choices=choices))
    if options.is_json:
        print_document(backfill)
    else:
        print_lines([backfill.backfill_id])
        note(made_text(backfill))
    return 0


@command(
    app,
    "preview",
    options=PreviewOptions,
    examples=("isthmus backfill preview daily_load --all",),
)
def preview(options: PreviewOptions) -> None:
    """Tell which runs a backfill would make. Nothing is written, and nothing started."""
    run_to_end(_preview(options))


async def _preview(options: PreviewOptions) -> int:
    from isthmus_cli.view.backfill import preview_lines
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint

    choices = _choices(options)
    async with connected(options) as client:
        told = await client.preview_backfill(await _request(client, options=options, choices=choices))
    if options.is_json:
        print_document(told)
    else:
        print_lines(preview_lines(told, paint=Paint.of()))
    return 0


def _choices(options: PreviewOptions) -> "BackfillChoices":
    from isthmus_cli.backfill_request import BackfillChoices
    from isthmus_cli.run_request import parse_tags

    return BackfillChoices(
        assets=options.assets,
        partitions=options.partitions,
        ranges=options.ranges,
        is_all=options.all,
        run_config_json=run_config_of(options),
        tags=parse_tags(options.tags),
        max_runs=options.max_runs,
        backfill_id=options.backfill_id if isinstance(options, CreateOptions) else "",
    )


async def _request(
    client: "ControlPlaneClient", *, options: PreviewOptions, choices: "BackfillChoices"
) -> "CreateBackfillRequest":
    from isthmus_cli.backfill_request import assets_target, backfill_request
    from isthmus_cli.launch import target_of

    words = [word for word in (options.first, options.second) if word]
    if options.assets:
        # Assets of all locations may be made by one backfill.
        return backfill_request(assets_target(words), choices=choices)
    target = await target_of(client, words, has_assets=False, verb="backfill create")
    return backfill_request(target, choices=choices)


@command(
    app,
    "list",
    options=ListOptions,
    examples=("isthmus backfill list --state running --state paused",),
)
def list_backfills(options: ListOptions) -> None:
    """List backfills, newest first, and how far each came."""
    run_to_end(_list(options))


async def _list(options: ListOptions) -> int:
    from isthmus.v1.control_plane_pb2 import ListBackfillsRequest

    from isthmus_cli.view.backfill import backfill_states, backfill_table
    from isthmus_cli.view.output import note, print_documents, print_lines
    from isthmus_cli.view.paint import Paint

    query = ListBackfillsRequest(
        states=backfill_states(options.states),
        job_name=options.job,
        location=options.location,
        page_size=options.limit,
    )
    async with connected(options) as client:
        page = await client.list_backfills(query)
    if options.is_json:
        print_documents(page.backfills)
        return 0
    if page.backfills:
        print_lines(backfill_table(page.backfills, paint=Paint.of(), room=options.room))
    else:
        note("There are no such backfills. Make one: isthmus backfill create JOB --range FIRST..LAST")
    if page.next_page_token:
        note(f"There are more: --limit {min(options.limit * 10, 500)}")
    return 0


@command(app, "show", options=OneOptions)
def show(options: OneOptions) -> None:
    """Tell one backfill: how far it came, and what was decided about it, newest first."""
    run_to_end(_show(options))


async def _show(options: OneOptions) -> int:
    from isthmus_cli.view.backfill import backfill_lines
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint

    async with connected(options) as client:
        detail = await client.get_backfill(options.backfill)
    if options.is_json:
        print_document(detail)
    else:
        print_lines(backfill_lines(detail, paint=Paint.of()))
    return 0


@command(app, "runs", options=RunsOptions)
def runs(options: RunsOptions) -> None:
    """List the runs of a backfill by their partitions, those that are yet to be made among them."""
    run_to_end(_runs(options))


async def _runs(options: RunsOptions) -> int:
    from isthmus_cli.view.backfill import run_table
    from isthmus_cli.view.output import note, print_documents, print_lines
    from isthmus_cli.view.paint import Paint

    found: list[BackfillRun] = []
    groups: Sequence[BackfillGroup] = ()
    has_more = True
    async with connected(options) as client:
        while has_more and len(found) < options.limit:
            page = await client.list_backfill_runs(
                options.backfill,
                is_failed_only=options.failed,
                page_size=min(_PAGE, options.limit - len(found)),
                after_number=found[-1].number if found else 0,
            )
            found += page.runs
            groups, has_more = page.groups, page.has_more
    if options.is_json:
        print_documents(found)
    elif found:
        print_lines(run_table(found, groups=groups, paint=Paint.of(), room=options.room))
    else:
        note(f"Nothing of backfill {options.backfill} failed.")
    if has_more and not options.is_json:
        note(f"There are more: --limit {options.limit * 10}")
    return 0


@command(app, "cancel", options=OneOptions)
def cancel(options: OneOptions) -> None:
    """Make no more runs of a backfill, and end those under way. It is CANCELED when none of them is left."""
    run_to_end(_decide(options, lambda client, by: client.cancel_backfill(options.backfill, requested_by=by)))


@command(app, "pause", options=OneOptions)
def pause(options: OneOptions) -> None:
    """Make no more runs of a backfill until it is resumed; those that are queued or under way go on."""
    run_to_end(_decide(options, lambda client, by: client.pause_backfill(options.backfill, requested_by=by)))


@command(app, "resume", options=OneOptions)
def resume(options: OneOptions) -> None:
    """Let a paused backfill go on."""
    run_to_end(_decide(options, lambda client, by: client.resume_backfill(options.backfill, requested_by=by)))


@command(app, "retry", options=RetryOptions)
def retry(options: RetryOptions) -> None:
    """Make a backfill of what failed or was canceled of one that has ended."""
    run_to_end(
        _decide(
            options,
            lambda client, by: client.retry_backfill(options.backfill, backfill_id=options.new_id, requested_by=by),
        )
    )


async def _decide(options: OneOptions, call: "Callable[[ControlPlaneClient, str], Awaitable[Backfill]]") -> int:
    from isthmus_cli.run_request import person
    from isthmus_cli.view.backfill import standing_text
    from isthmus_cli.view.output import note, print_document, print_lines

    async with connected(options) as client:
        backfill = await call(client, person())
    if options.is_json:
        print_document(backfill)
    else:
        if isinstance(options, RetryOptions):
            print_lines([backfill.backfill_id])
        note(standing_text(backfill))
    return 0
