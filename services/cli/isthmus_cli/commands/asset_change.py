"""`isthmus asset report`, `wipe` and `wipes`: what happened to an asset outside of runs, and forgetting what was told of it."""

from dataclasses import dataclass, field
from typing import Annotated

from isthmus_cli.command import command
from isthmus_cli.commands.asset import OneOptions, app, key_of
from isthmus_cli.options import Argument, ListingOptions, Option
from isthmus_cli.session import connected, run_to_end


@dataclass(frozen=True, kw_only=True)
class ReportOptions(OneOptions):
    """`asset report`."""

    partition: Annotated[str, Option(metavar="KEY", help="Which partition of it.", show_default=False)] = ""
    observed: Annotated[bool, Option("--observed", help="It was looked at; without, it was made.")] = False
    check: Annotated[
        str,
        Option(metavar="CHECK", help="This check of it was evaluated: say --passed or --failed.", show_default=False),
    ] = ""
    passed: Annotated[bool, Option("--passed", help="The check passed.")] = False
    failed: Annotated[bool, Option("--failed", help="The check did not pass.")] = False
    warn: Annotated[bool, Option("--warn", help="A check that did not pass is only to warn.")] = False
    data_version: Annotated[
        str, Option(metavar="TEXT", help="What the data is told from other data by.", show_default=False)
    ] = ""
    description: Annotated[str, Option(metavar="TEXT", help="For people.", show_default=False)] = ""
    metadata: Annotated[
        list[str],
        Option(
            metavar="LABEL=VALUE", help="Numbers, true, false, JSON and addresses are told as such; may be repeated."
        ),
    ] = field(default_factory=list)
    tag: Annotated[list[str], Option(metavar="KEY=VALUE", help="A tag of the event; may be repeated.")] = field(
        default_factory=list
    )


@dataclass(frozen=True, kw_only=True)
class WipeOptions(OneOptions):
    """`asset wipe`."""

    partition: Annotated[
        list[str], Option(metavar="KEY", help="Of this partition only, and of no check; may be repeated.")
    ] = field(default_factory=list)
    why: Annotated[str, Option(metavar="TEXT", help="Kept with who did it.", show_default=False)] = ""
    yes: Annotated[bool, Option("-y --yes", help="Do not ask.")] = False


@dataclass(frozen=True, kw_only=True)
class WipesOptions(ListingOptions):
    """`asset wipes`."""

    asset: Annotated[str, Argument(metavar="ASSET", help="Of this asset; of all without.", completes="catalog")] = ""
    limit: Annotated[int, Option(metavar="N", min=1, max=500, help="So many at the most.")] = 50


@command(
    app,
    "report",
    options=ReportOptions,
    examples=(
        "isthmus asset report shop/orders --metadata rows=1200 --data-version 2026-07-01",
        "isthmus asset report shop/orders --partition 2026-07-01",
        "isthmus asset report shop/orders --observed",
        "isthmus asset report shop/orders --check whole --failed --warn",
    ),
)
def report(options: ReportOptions) -> None:
    """Tell what happened to an asset outside of runs: it was made, looked at, or checked.

    Sensors and automation conditions see it as they see what runs tell.
    """
    run_to_end(_report(options))


async def _report(options: ReportOptions) -> int:
    from isthmus_cli.asset_report import ReportChoices, report_request
    from isthmus_cli.run_request import parse_tags, person
    from isthmus_cli.view.output import note, print_document

    choices = ReportChoices(
        partition=options.partition,
        is_observed=options.observed,
        check=options.check,
        is_passed=options.passed,
        is_failed=options.failed,
        is_only_to_warn=options.warn,
        data_version=options.data_version,
        description=options.description,
        metadata=options.metadata,
        tags=parse_tags(options.tag),
    )
    request = report_request(choices, requested_by=person())
    async with connected(options) as client:
        getattr(request, request.WhichOneof("event") or "").asset.CopyFrom(await key_of(client, options.asset))
        event = await client.report_asset_event(request)
    if options.is_json:
        print_document(event)
    else:
        note(f"Told as event {event.event_id}. See it: isthmus asset show {options.asset}")
    return 0


@command(
    app,
    "wipe",
    options=WipeOptions,
    examples=(
        'isthmus asset wipe shop/orders --why "loaded from the wrong source"',
        "isthmus asset wipe shop/orders --partition 2026-07-01 --partition 2026-07-02 --yes",
    ),
)
def wipe(options: WipeOptions) -> None:
    """Forget what was told of an asset, or of some of its partitions: it counts as never made.

    Nothing is deleted where it was made, histories of runs stay, and who wiped it and why is kept: `isthmus asset wipes`.
    """
    run_to_end(_wipe(options))


async def _wipe(options: WipeOptions) -> int:
    from isthmus_cli.deletion import confirm_wipe
    from isthmus_cli.run_request import person
    from isthmus_cli.view.output import note, print_document
    from isthmus_cli.view.text import count_text

    async with connected(options) as client:
        key = await key_of(client, options.asset)
        if not options.yes:
            confirm_wipe(options.asset, partitions=options.partition)
        wiped = await client.wipe_asset(key, partitions=options.partition, why=options.why, requested_by=person())
    if options.is_json:
        print_document(wiped)
    else:
        note(f"Forgot {count_text(wiped.events, 'event')} of {options.asset}.")
    return 0


@command(app, "wipes", options=WipesOptions)
def wipes(options: WipesOptions) -> None:
    """List who wiped an asset, or any: when, why, and how much was forgotten. Newest first."""
    run_to_end(_wipes(options))


async def _wipes(options: WipesOptions) -> int:
    from isthmus_cli.view.asset import wipe_table
    from isthmus_cli.view.output import note, print_documents, print_lines

    async with connected(options) as client:
        key = await key_of(client, options.asset) if options.asset else None
        page = await client.list_asset_wipes(key, page_size=options.limit)
    if options.is_json:
        print_documents(page.wipes)
        return 0
    if page.wipes:
        print_lines(wipe_table(page.wipes, room=options.room))
    else:
        note("Nobody has wiped anything.")
    if page.has_more:
        note(f"There are more: --limit {min(options.limit * 10, 500)}")
    return 0
