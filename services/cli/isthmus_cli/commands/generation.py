"""`isthmus location history` and `rollback`: what a location was to be, and the way back."""

from dataclasses import dataclass
from typing import Annotated

from isthmus_cli.command import command
from isthmus_cli.commands.location import LocationName, OneLocationOptions, app
from isthmus_cli.options import ListingOptions, Option
from isthmus_cli.session import connected, run_to_end


@dataclass(frozen=True, kw_only=True)
class HistoryOptions(ListingOptions):
    """`location history`."""

    name: LocationName
    limit: Annotated[int, Option(metavar="N", help="At the most so many.", min=1, max=200)] = 20
    before: Annotated[int, Option(metavar="GENERATION", help="Older ones than this.", min=0, show_default=False)] = 0


@command(app, "history", options=HistoryOptions, examples=("isthmus location history etl -o wide",))
def history(options: HistoryOptions) -> None:
    """Tell what a location was to be, newest first: when, by whom, and of which version its code was."""
    run_to_end(_history(options))


async def _history(options: HistoryOptions) -> int:
    from isthmus_cli.view.generation import generation_table
    from isthmus_cli.view.output import note, print_document, print_lines

    async with connected(options) as client:
        page = await client.list_generations(options.name, page_size=options.limit, before_generation=options.before)
    if options.is_json:
        print_document(page)
        return 0
    print_lines(generation_table(page.generations, room=options.room))
    if page.has_more:
        oldest = page.generations[-1].generation
        note(f"There are older ones: isthmus location history {options.name} --before {oldest}")
    return 0


@dataclass(frozen=True, kw_only=True)
class RollbackOptions(OneLocationOptions):
    """`location rollback`."""

    to: Annotated[
        int,
        Option(metavar="GENERATION", help="Which; else the last that had other settings.", min=0, show_default=False),
    ] = 0
    wait: Annotated[bool, Option("--wait/--no-wait", help="Return when it serves, or failed to load.")] = True
    timeout: Annotated[float, Option(metavar="SECONDS", help="How long to wait.", min=0.0)] = 300.0


@command(
    app,
    "rollback",
    options=RollbackOptions,
    examples=("isthmus location rollback etl", "isthmus location rollback etl --to 12"),
)
def rollback(options: RollbackOptions) -> None:
    """Make the settings of an earlier generation the wanted ones, as a new generation, and wait until it serves.

    The code itself lies with the agent: what comes back with the settings is their image, module and folder.
    Exit code: 0 it serves, 1 it does not load.
    """
    run_to_end(_rollback(options))


async def _rollback(options: RollbackOptions) -> int:
    from isthmus_cli.apply import tell, verdict, waited_for
    from isthmus_cli.run_request import person

    timeout_s = options.timeout if options.wait else None
    async with connected(options) as client:
        location = await client.roll_back_location(options.name, generation=options.to, requested_by=person())
        settled = await waited_for(client, [location], timeout_s=timeout_s)
    tell(settled, is_waited_for=options.wait, is_json=options.is_json)
    return verdict(settled, is_waited_for=options.wait)
