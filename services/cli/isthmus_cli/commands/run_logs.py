"""`isthmus run logs`: read what a run wrote."""

import sys
from dataclasses import dataclass
from typing import Annotated, TextIO

from isthmus_cli.command import command
from isthmus_cli.commands.run_group import app
from isthmus_cli.commands.run_options import OneRunOptions
from isthmus_cli.options import Option
from isthmus_cli.run_name import brief_id
from isthmus_cli.session import connected, run_to_end


@dataclass(frozen=True, kw_only=True)
class LogsOptions(OneRunOptions):
    """`run logs`."""

    follow: Annotated[bool, Option("-f --follow", help="Go on until the run has ended.")] = False
    stream: Annotated[str | None, Option(metavar="stdout|stderr", help="One of the two; both otherwise.")] = None
    step: Annotated[str, Option("-s --step", metavar="STEP", help="One step's.", show_default=False)] = ""
    level: Annotated[
        str,
        Option(
            metavar="LEVEL", help="Records from this level up; info, unless debug is asked for.", show_default=False
        ),
    ] = ""
    since: Annotated[
        str, Option(metavar="WHEN", help="What was written after: 30m, 2h, or a date and time.", show_default=False)
    ] = ""
    tail: Annotated[int | None, Option("-n --tail", metavar="N", help="The last N lines.", min=0)] = None
    raw: Annotated[bool, Option("--raw", help="The bytes as they are, as in a pipe.")] = False
    value: Annotated[
        str,
        Option(metavar="SHA256", help="A value that was cut out of an event, by its hash.", show_default=False),
    ] = ""

    def is_read_by_a_person(self, stream: TextIO) -> bool:
        """Tell whether lines are wanted rather than bytes."""
        if self.is_json or self.value or self.raw:
            return False
        return stream.isatty() or bool(self.level or self.since or self.tail is not None)


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
