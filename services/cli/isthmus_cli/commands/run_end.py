"""`isthmus run cancel` and `delete`: end runs, and do away with them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from isthmus_cli.command import command
from isthmus_cli.commands.run_group import app
from isthmus_cli.commands.run_options import OneRunOptions
from isthmus_cli.options import Argument, Option, PrintOptions
from isthmus_cli.run_name import brief_id
from isthmus_cli.session import connected, run_to_end

if TYPE_CHECKING:
    from isthmus.v1.control_plane_pb2 import Run
    from isthmus_client.client import ControlPlaneClient


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


@command(
    app,
    "cancel",
    options=CancelOptions,
    examples=("isthmus run cancel latest --wait",),
)
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
            return await _end_of(client, run, is_json=options.is_json)
    if options.is_json:
        print_document(run)
    else:
        print_lines([Paint.of().run_state(run.state)])
    return 0


async def _end_of(client: "ControlPlaneClient", run: "Run", *, is_json: bool) -> int:
    """Show a run that was cancelled to its end."""
    import asyncio

    from isthmus_cli.view.output import note
    from isthmus_cli.watch import show_run

    run_id = run.request.run.run_id
    try:
        return await show_run(client.watch_run(run_id, after_position=run.last_position), is_json=is_json)
    except asyncio.CancelledError:
        note(f"\nThe run is being cancelled all the same. Look: isthmus run show {brief_id(run_id)}")
        raise


@command(
    app,
    "delete",
    options=DeleteOptions,
    examples=(
        "isthmus run delete 5d34c8ac",
        "isthmus run delete --yes $(isthmus run list -q --state failed)",
    ),
)
def delete(options: DeleteOptions) -> None:
    """Delete runs that have ended, with their history.

    What assets are asked about stays: the newest materialization, the newest evaluation of a check. A run that goes on is
    not deleted: cancel it first.
    """
    run_to_end(_delete(options))


async def _delete(options: DeleteOptions) -> int:
    from isthmus_cli.deletion import confirm_deletion, delete_runs

    async with connected(options) as client:
        runs = [await client.find_run(name) for name in options.runs]
        if not options.yes:
            confirm_deletion(runs)
        return await delete_runs(client, runs, is_json=options.is_json)
