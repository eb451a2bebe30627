"""`isthmus schedule …`: when schedules are due, what came of it, and whether they run."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from isthmus_cli.command import Group, command
from isthmus_cli.options import Argument, ListingOptions, Option, PrintOptions
from isthmus_cli.session import connected, run_to_end

if TYPE_CHECKING:
    from isthmus.v1.control_plane_pb2 import AutomationRef

app = Group("schedule", help="Look at schedules and their ticks, start and stop them, try them out.")

ScheduleName = Annotated[str, Argument(metavar="SCHEDULE", help="The schedule's name.", completes="schedules")]
LocationName = Annotated[
    str,
    Option(metavar="LOCATION", help="Its location, where several have one of the name.", completes="locations"),
]


@dataclass(frozen=True, kw_only=True)
class ListOptions(ListingOptions):
    """`schedule list`."""

    location: Annotated[
        str, Option(metavar="LOCATION", help="Of this location only.", completes="locations", show_default=False)
    ] = ""


@dataclass(frozen=True, kw_only=True)
class OneScheduleOptions(PrintOptions):
    """A command about one schedule."""

    name: ScheduleName
    location: LocationName = ""

    @property
    def meant(self) -> "AutomationRef":
        """What the control plane is asked about."""
        from isthmus.v1.control_plane_pb2 import AUTOMATION_KIND_SCHEDULE, AutomationRef

        return AutomationRef(location=self.location, name=self.name, kind=AUTOMATION_KIND_SCHEDULE)


@dataclass(frozen=True, kw_only=True)
class TicksOptions(OneScheduleOptions):
    """`schedule ticks`."""

    limit: Annotated[int, Option(metavar="N", min=1, max=500, help="So many of the newest.")] = 20
    status: Annotated[
        str,
        Option(metavar="STATUS[,…]", help="Only these: started, skipped, success, failed.", show_default=False),
    ] = ""
    no_headers: Annotated[bool, Option("--no-headers", help="Leave the table's head out.")] = False


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
    run_to_end(_show(options))


async def _show(options: OneScheduleOptions) -> int:
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint
    from isthmus_cli.view.schedule import schedule_lines

    async with connected(options) as client:
        schedule = await client.get_automation(options.meant)
        if options.is_json:
            print_document(schedule)
            return 0
        page = await client.list_ticks(options.meant, page_size=5)
    print_lines(schedule_lines(schedule, ticks=page.ticks, paint=Paint.of()))
    return 0


@command(app, "start", options=OneScheduleOptions)
def start(options: OneScheduleOptions) -> None:
    """Let a schedule run from now on, whatever its code says. What was missed is not made up for."""
    run_to_end(_decide(options, is_running=True))


@command(app, "stop", options=OneScheduleOptions)
def stop(options: OneScheduleOptions) -> None:
    """Let a schedule rest until it is started, also when its code is deployed anew."""
    run_to_end(_decide(options, is_running=False))


async def _decide(options: OneScheduleOptions, *, is_running: bool) -> int:
    from isthmus_cli.run_request import person
    from isthmus_cli.view.output import note, print_document
    from isthmus_cli.view.schedule import decision_text

    async with connected(options) as client:
        decide = client.start_automation if is_running else client.stop_automation
        schedule = await decide(options.meant, requested_by=person())
    if options.is_json:
        print_document(schedule)
    else:
        note(decision_text(schedule))
    return 0


@command(app, "ticks", options=TicksOptions)
def ticks(options: TicksOptions) -> None:
    """List a schedule's ticks, newest first: what they started, why they were skipped, what went wrong."""
    run_to_end(_ticks(options))


async def _ticks(options: TicksOptions) -> int:
    from isthmus_cli.options import OutputFormat
    from isthmus_cli.view.output import note, print_documents, print_lines
    from isthmus_cli.view.paint import Paint
    from isthmus_cli.view.schedule import tick_statuses, tick_table
    from isthmus_cli.view.table import Room

    statuses = tick_statuses(options.status)
    async with connected(options) as client:
        page = await client.list_ticks(options.meant, statuses=statuses, page_size=options.limit)
    if options.is_json:
        print_documents(page.ticks)
    elif page.ticks:
        room = Room.of(is_wide=options.output is OutputFormat.WIDE, has_head=not options.no_headers)
        print_lines(tick_table(page.ticks, paint=Paint.of(), room=room))
    else:
        note(f"Schedule {options.name} has no such ticks. When it is due: isthmus schedule preview {options.name}")
    return 0


@command(app, "test", options=TestOptions)
def test(options: TestOptions) -> None:
    """Evaluate a schedule and tell what it would start. Nothing is written, and nothing started."""
    run_to_end(_test(options))


async def _test(options: TestOptions) -> int:
    from isthmus.v1.control_plane_pb2 import TickStatus

    from isthmus_cli.exit_code import ExitCode
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint
    from isthmus_cli.view.schedule import trial_lines

    at = _moment(options.at) if options.at is not None else None
    async with connected(options) as client:
        trial = await client.test_tick(options.meant, at=at)
    if options.is_json:
        print_document(trial)
    else:
        print_lines(trial_lines(trial, name=options.name, paint=Paint.of()))
    return ExitCode.FAILED if trial.status == TickStatus.TICK_STATUS_FAILED else ExitCode.OK


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
