"""`isthmus queue …`: how the queue stands, what limits it, and what is paused."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import click

from isthmus_cli.command import Group, command
from isthmus_cli.options import Argument, Option, PrintOptions
from isthmus_cli.session import connected, run_to_end


def _status_by_default() -> None:
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        context.invoke(app.commands["status"])


app = Group(
    "queue",
    help="Look at the run queue, limit it, pause and resume. Without a command: status.",
    callback=_status_by_default,
    invoke_without_command=True,
    no_args_is_help=False,
)


class Pausable(StrEnum):
    """What can be paused."""

    DEPLOYMENT = "deployment"
    QUEUE = "queue"
    LOCATION = "location"
    AGENT = "agent"
    POOL = "pool"


@dataclass(frozen=True, kw_only=True)
class SetOptions(PrintOptions):
    """`queue set`."""

    file: Annotated[Path, Argument(metavar="FILE", help="A YAML or JSON file with `concurrency:`.")]


@dataclass(frozen=True, kw_only=True)
class PausableOptions(PrintOptions):
    """A command about something that can be paused."""

    kind: Annotated[Pausable, Argument(metavar="WHAT", help="deployment, queue, location, agent or pool.")]
    name: Annotated[str, Argument(metavar="NAME", help="Of a location, an agent or a pool.")] = ""


@dataclass(frozen=True, kw_only=True)
class PauseOptions(PausableOptions):
    """`queue pause`."""

    why: Annotated[str, Option(metavar="TEXT", help="Told to whoever asks why runs wait.", show_default=False)] = ""


@command(app, "status", options=PrintOptions)
def status(options: PrintOptions) -> None:
    """Tell how many runs wait and for what, what is limited and taken, and what is paused."""
    run_to_end(_status(options))


async def _status(options: PrintOptions) -> int:
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint
    from isthmus_cli.view.queue import queue_lines

    async with connected(options) as client:
        queue = await client.get_queue()
    if options.is_json:
        print_document(queue)
    else:
        print_lines(queue_lines(queue, paint=Paint.of()))
    return 0


@command(app, "show", options=PrintOptions)
def show(options: PrintOptions) -> None:
    """Print the limits, as the document that would set them."""
    run_to_end(_show(options))


async def _show(options: PrintOptions) -> int:
    from isthmus_cli.view.output import note, print_document, print_lines
    from isthmus_cli.view.queue import revision_text, settings_lines

    async with connected(options) as client:
        revision = (await client.get_queue()).settings
    if options.is_json:
        print_document(revision)
    else:
        note(revision_text(revision))
        print_lines(settings_lines(revision.settings))
    return 0


@command(app, "set", options=SetOptions, examples=("isthmus queue set concurrency.yaml",))
def set_limits(options: SetOptions) -> None:
    """Replace all limits by those of a file. Runs that wait are judged by them at once."""
    run_to_end(_set(options))


async def _set(options: SetOptions) -> int:
    from isthmus_cli.queue_file import read_queue_file
    from isthmus_cli.run_request import person
    from isthmus_cli.view.output import note, print_document
    from isthmus_cli.view.queue import revision_text

    settings = read_queue_file(options.file)
    async with connected(options) as client:
        revision = await client.set_queue_settings(settings, requested_by=person())
    if options.is_json:
        print_document(revision)
    else:
        note(f"{revision_text(revision)} See what it does: isthmus queue status")
    return 0


@command(
    app,
    "pause",
    options=PauseOptions,
    examples=('isthmus queue pause location etl --why "new warehouse"', "isthmus queue pause queue"),
)
def pause(options: PauseOptions) -> None:
    """Keep runs in the queue until they are let go again. What runs goes on."""
    run_to_end(_pause(options))


async def _pause(options: PauseOptions) -> int:
    from isthmus.v1.control_plane_pb2 import PauseKind

    from isthmus_cli.run_request import person
    from isthmus_cli.view.output import note, print_document
    from isthmus_cli.view.queue import pause_text

    kind = PauseKind.Value(f"PAUSE_KIND_{options.kind.name}")
    async with connected(options) as client:
        paused = await client.pause(kind, options.name, why=options.why, requested_by=person())
    if options.is_json:
        print_document(paused)
    else:
        target = " ".join(part for part in (options.kind.value, options.name) if part)
        note(f"{pause_text(paused)}. Let it go on: isthmus queue resume {target}")
    return 0


@command(app, "resume", options=PausableOptions)
def resume(options: PausableOptions) -> None:
    """Let runs leave the queue again."""
    run_to_end(_resume(options))


async def _resume(options: PausableOptions) -> int:
    from isthmus.v1.control_plane_pb2 import PauseKind

    from isthmus_cli.run_request import person
    from isthmus_cli.view.output import note, print_lines

    kind = PauseKind.Value(f"PAUSE_KIND_{options.kind.name}")
    async with connected(options) as client:
        await client.resume(kind, options.name, requested_by=person())
    if options.is_json:
        print_lines(["{}"])
    else:
        note("It goes on.")
    return 0
