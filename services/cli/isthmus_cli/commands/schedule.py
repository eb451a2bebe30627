"""`isthmus schedule …`: when schedules are due, what came of it, and whether they run."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from isthmus_cli.command import Group, command
from isthmus_cli.commands.automation import (
    ListOptions,
    OneOptions,
    TicksOptions,
    decide,
    list_ticks,
    show_one,
    tell_trial,
)
from isthmus_cli.options import Argument, Option
from isthmus_cli.session import connected, run_to_end

app = Group("schedule", help="Look at schedules and their ticks, start and stop them, try them out.")

ScheduleName = Annotated[str, Argument(metavar="SCHEDULE", help="The schedule's name.", completes="schedules")]


@dataclass(frozen=True, kw_only=True)
class OneScheduleOptions(OneOptions):
    """A command about one schedule."""

    word = "schedule"
    name: ScheduleName


@dataclass(frozen=True, kw_only=True)
class ScheduleTicksOptions(TicksOptions, OneScheduleOptions):
    """`schedule ticks`."""


@dataclass(frozen=True, kw_only=True)
class TestOptions(OneScheduleOptions):
    """`schedule test`."""

    at: Annotated[
        str | None,
        Option(metavar="TIME", help="The time that it is told, as in 2026-07-01T22:00Z; else its next one."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class PreviewOptions(OneScheduleOptions):
    """`schedule preview`."""

    count: Annotated[int, Option("-n --count", metavar="N", min=1, max=1000, help="So many times.")] = 10


@command(app, "list", options=ListOptions)
def list_schedules(options: ListOptions) -> None:
    """List the schedules: whether they run, when they are due, and what came of the last tick."""
    run_to_end(_list(options))


async def _list(options: ListOptions) -> int:
    from isthmus_cli.view.output import note, print_documents, print_lines
    from isthmus_cli.view.paint import Paint
    from isthmus_cli.view.schedule import schedule_table

    async with connected(options) as client:
        schedules = await client.list_automations(location=options.location)
    if options.is_json:
        print_documents(schedules)
    elif schedules:
        print_lines(schedule_table(schedules, paint=Paint.of(), room=options.room))
    else:
        note("There are no schedules. A location's are known once it serves: isthmus location list")
    return 0


@command(app, "show", options=OneScheduleOptions)
def show(options: OneScheduleOptions) -> None:
    """Tell one schedule whole, with its last ticks."""
    from isthmus_cli.view.schedule import schedule_lines

    run_to_end(show_one(options, lines=schedule_lines))


@command(app, "start", options=OneScheduleOptions)
def start(options: OneScheduleOptions) -> None:
    """Let a schedule run from now on, whatever its code says. What was missed is not made up for."""
    run_to_end(decide(options, is_running=True))


@command(app, "stop", options=OneScheduleOptions)
def stop(options: OneScheduleOptions) -> None:
    """Let a schedule rest until it is started, also when its code is deployed anew."""
    run_to_end(decide(options, is_running=False))


@command(app, "ticks", options=ScheduleTicksOptions)
def ticks(options: ScheduleTicksOptions) -> None:
    """List a schedule's ticks, newest first: what they started, why they were skipped, what went wrong."""
    run_to_end(list_ticks(options, hint=f"When it is due: isthmus schedule preview {options.name}"))


@command(app, "test", options=TestOptions)
def test(options: TestOptions) -> None:
    """Evaluate a schedule and tell what it would start. Nothing is written, and nothing started."""
    run_to_end(_test(options))


async def _test(options: TestOptions) -> int:
    at = _moment(options.at) if options.at is not None else None
    async with connected(options) as client:
        return tell_trial(options, await client.test_tick(options.meant, at=at))


@command(app, "preview", options=PreviewOptions)
def preview(options: PreviewOptions) -> None:
    """Tell when a schedule is due next, whether it runs or not."""
    run_to_end(_preview(options))


async def _preview(options: PreviewOptions) -> int:
    from isthmus_cli.view.output import print_json, print_lines
    from isthmus_cli.view.schedule import time_lines

    async with connected(options) as client:
        schedule = await client.get_automation(options.meant)
        times = await client.preview_ticks(options.meant, count=options.count)
    if options.is_json:
        import json

        print_json(json.dumps([it.isoformat().replace("+00:00", "Z") for it in times], indent=2))
    else:
        print_lines(time_lines(times, timezone=schedule.timezone, problem=schedule.problem))
    return 0


def _moment(text: str) -> datetime:
    """Read a time; one without a zone is of this machine's.

    Raises:
        click.UsageError: It is none.
    """
    import click

    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError) as error:
        message = f"{text!r} is no time; write it as in 2026-07-01T22:00 or 2026-07-01T22:00+02:00."
        raise click.UsageError(message) from error
