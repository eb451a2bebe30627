"""`isthmus run watch` and `show`: look at one run."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from isthmus_cli.command import command
from isthmus_cli.commands.run_group import app
from isthmus_cli.commands.run_options import OneRunOptions
from isthmus_cli.options import Option
from isthmus_cli.run_name import brief_id
from isthmus_cli.session import connected, run_to_end

if TYPE_CHECKING:
    from isthmus_client.client import ControlPlaneClient


@dataclass(frozen=True, kw_only=True)
class WatchOptions(OneRunOptions):
    """`run watch`."""

    after: Annotated[int, Option(metavar="POSITION", help="Leave out the history up to here.", min=0)] = 0


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
    from isthmus.v1.control_plane_pb2 import RUN_STATE_QUEUED

    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint
    from isthmus_cli.view.run import run_lines

    async with connected(options) as client:
        run = await client.find_run(options.run)
        waits = [] if options.is_json or run.state != RUN_STATE_QUEUED else await _waits(client, run.request.run.run_id)
    if options.is_json:
        print_document(run)
    else:
        print_lines([*run_lines(run, paint=Paint.of()), *waits])
    return 0


async def _waits(client: "ControlPlaneClient", run_id: str) -> list[str]:
    """Tell why a run waits; nothing when the control plane is older than that question."""
    from isthmus_client.errors import ClientError

    from isthmus_cli.view.paint import Paint
    from isthmus_cli.view.queue import wait_lines

    try:
        return wait_lines(await client.explain_run(run_id), paint=Paint.of())
    except ClientError:
        return []


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
