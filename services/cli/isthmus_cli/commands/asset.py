"""`isthmus asset …`: the assets of all locations, how they fare, and what depends on what."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from isthmus_cli.command import Group, command
from isthmus_cli.options import Argument, ListingOptions, Option, PrintOptions
from isthmus_cli.session import connected, run_to_end

if TYPE_CHECKING:
    from isthmus.v1.control_plane_pb2 import AssetPartition, CatalogAsset
    from isthmus.v1.telemetry_pb2 import AssetKey
    from isthmus_client.client import ControlPlaneClient

_CHANGES = "isthmus_cli.commands.asset_change"

app = Group(
    "asset",
    help="Look at the assets of all locations, at their partitions, and at what depends on what.",
    places={"report": _CHANGES, "wipe": _CHANGES, "wipes": _CHANGES},
)

#: What one call tells.
_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class ListOptions(ListingOptions):
    """`asset list`."""

    selection: Annotated[
        str, Argument(metavar="SELECTION", help="In Dagster's selection language; all without.", completes="catalog")
    ] = ""
    location: Annotated[
        str, Option(metavar="LOCATION", help="Of this location only.", completes="locations", show_default=False)
    ] = ""
    search: Annotated[str, Option(metavar="TEXT", help="Whose keys contain this.", show_default=False)] = ""
    stale: Annotated[
        bool, Option("--stale", help="Whose code or inputs changed since they were made; none with partitions.")
    ] = False
    limit: Annotated[int, Option(metavar="N", min=1, max=100_000, help="So many at the most.")] = 500


@dataclass(frozen=True, kw_only=True)
class OneOptions(PrintOptions):
    """A command about one asset."""

    asset: Annotated[str, Argument(metavar="ASSET", help="The asset's key, as in a/b.", completes="catalog")]


@dataclass(frozen=True, kw_only=True)
class PartitionsOptions(ListingOptions, OneOptions):
    """`asset partitions`."""

    failed: Annotated[bool, Option("--failed", help="Only those whose last attempt failed.")] = False
    limit: Annotated[int, Option(metavar="N", min=1, max=1_000_000, help="So many at the most.")] = 1000


@dataclass(frozen=True, kw_only=True)
class WhyOptions(OneOptions):
    """`asset why`."""

    check: Annotated[str, Option(metavar="CHECK", help="About this check of it instead.", show_default=False)] = ""
    requested: Annotated[bool, Option("--requested", help="Only decisions to execute something.")] = False
    whole: Annotated[bool, Option("--whole", help="With each part of the condition, and what it came to.")] = False
    limit: Annotated[int, Option(metavar="N", min=1, max=500, help="So many at the most.")] = 20


@command(
    app,
    "list",
    options=ListOptions,
    examples=(
        "isthmus asset list",
        "isthmus asset list 'group:sales and not kind:dbt'",
        "isthmus asset list '2+key:orders+'      # two levels above it, and all below",
    ),
)
def list_assets(options: ListOptions) -> None:
    """List assets: whether they are well, when they were made last, and what of them failed."""
    run_to_end(_list(options))


async def _list(options: ListOptions) -> int:
    from isthmus.v1.control_plane_pb2 import ListAssetsRequest

    from isthmus_cli.view.asset import asset_table
    from isthmus_cli.view.output import note, print_documents, print_lines
    from isthmus_cli.view.paint import Paint

    query = ListAssetsRequest(
        location=options.location,
        selection=options.selection,
        search=options.search,
        is_stale_only=options.stale,
    )
    assets: list[CatalogAsset] = []
    total = -1
    async with connected(options) as client:
        while len(assets) < options.limit and (total < 0 or query.page_token):
            query.page_size = min(_PAGE, options.limit - len(assets))
            page = await client.list_assets(query)
            assets += page.assets
            query.page_token, total = page.next_page_token, page.total
    if options.is_json:
        print_documents(assets)
        return 0
    if assets:
        print_lines(asset_table(assets, paint=Paint.of(), room=options.room))
    elif options.stale:
        note("No asset without partitions is stale.")
    else:
        note("There are no such assets. A location's are known once it serves: isthmus location list")
    if query.page_token:
        note(f"{total - len(assets)} more are not shown: --limit {total}")
    return 0


@command(app, "show", options=OneOptions)
def show(options: OneOptions) -> None:
    """Tell one asset whole: what it is, how it fares, its checks, and what is above and below it."""
    run_to_end(_show(options))


async def _show(options: OneOptions) -> int:
    from isthmus_cli.view.asset import asset_lines
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint

    async with connected(options) as client:
        detail = await client.get_asset(await key_of(client, options.asset))
    if options.is_json:
        print_document(detail)
    else:
        print_lines(asset_lines(detail, paint=Paint.of()))
    return 0


@command(app, "partitions", options=PartitionsOptions)
def partitions(options: PartitionsOptions) -> None:
    """List an asset's partitions of which anything is known: when each was made, and whether its last attempt failed."""
    run_to_end(_partitions(options))


async def _partitions(options: PartitionsOptions) -> int:
    from isthmus_cli.view.asset import partition_table
    from isthmus_cli.view.output import note, print_documents, print_lines
    from isthmus_cli.view.paint import Paint

    found: list[AssetPartition] = []
    token: str | None = None
    async with connected(options) as client:
        key = await key_of(client, options.asset)
        while len(found) < options.limit and token != "":
            page = await client.list_asset_partitions(
                key,
                is_failed_only=options.failed,
                page_size=min(_PAGE, options.limit - len(found)),
                page_token=token or "",
            )
            found += page.partitions
            token = page.next_page_token
    if options.is_json:
        print_documents(found)
        return 0
    if found:
        print_lines(partition_table(found, paint=Paint.of(), room=options.room))
    else:
        note(f"Nothing is known of {'failed ' if options.failed else ''}partitions of {options.asset}.")
    if token:
        note(f"There are more: --limit {options.limit * 10}")
    return 0


@command(
    app,
    "why",
    options=WhyOptions,
    examples=(
        "isthmus asset why shop/orders",
        "isthmus asset why shop/orders --whole       # with each part of the condition",
        "isthmus asset why shop/orders --check whole --requested",
    ),
)
def why(options: WhyOptions) -> None:
    """Tell why automation conditions executed an asset, or did not: each decision that changed something, newest first."""
    run_to_end(_why(options))


async def _why(options: WhyOptions) -> int:
    from isthmus.v1.control_plane_pb2 import ListAssetEvaluationsRequest

    from isthmus_cli.view.evaluation import evaluation_lines
    from isthmus_cli.view.output import note, print_documents, print_lines
    from isthmus_cli.view.paint import Paint

    query = ListAssetEvaluationsRequest(
        check_name=options.check, is_requesting_only=options.requested, page_size=options.limit
    )
    async with connected(options) as client:
        query.key.CopyFrom(await key_of(client, options.asset))
        page = await client.list_asset_evaluations(query)
    if options.is_json:
        print_documents(page.evaluations)
        return 0
    if page.evaluations:
        print_lines(evaluation_lines(page.evaluations, is_whole=options.whole, paint=Paint.of()))
    else:
        note(f"No sensor has decided anything about {options.asset} yet: isthmus sensor list")
    if page.has_more:
        note(f"There are more: --limit {min(options.limit * 10, 500)}")
    return 0


async def key_of(client: "ControlPlaneClient", text: str) -> "AssetKey":
    """Find the asset that a text names. A key may hold any character, so that the control plane has to know it."""
    from isthmus.v1.control_plane_pb2 import ListAssetsRequest

    from isthmus_cli.errors import InputError
    from isthmus_cli.view.text import asset_text

    page = await client.list_assets(ListAssetsRequest(selection=text, page_size=5))
    if page.total > 1:
        names = ", ".join(asset_text(it.key) for it in page.assets)
        raise InputError(
            f"{text!r} selects {page.total} assets: {names}{', …' if page.next_page_token else ''}.",
            remedy=f"Name one of them, or list them: isthmus asset list {text!r}",
        )
    return page.assets[0].key
