"""`isthmus sensor …`: what sensors saw, what came of it, where they stand, and whether they run."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from isthmus_cli.command import Group, command
from isthmus_cli.options import Argument, ListingOptions, Option, PrintOptions
from isthmus_cli.session import connected, run_to_end

if TYPE_CHECKING:
    from isthmus.v1.control_plane_pb2 import AutomationRef

app = Group("sensor", help="Look at sensors and their ticks, start and stop them, move them, try them out.")

SensorName = Annotated[str, Argument(metavar="SENSOR", help="The sensor's name.", completes="sensors")]
LocationName = Annotated[
    str,
    Option(metavar="LOCATION", help="Its location, where several have one of the name.", completes="locations"),
]


@dataclass(frozen=True, kw_only=True)
class ListOptions(ListingOptions):
    """`sensor list`."""

    location: Annotated[
        str, Option(metavar="LOCATION", help="Of this location only.", completes="locations", show_default=False)
    ] = ""


@dataclass(frozen=True, kw_only=True)
class OneSensorOptions(PrintOptions):
    """A command about one sensor."""

    name: SensorName
    location: LocationName = ""

    @property
    def meant(self) -> "AutomationRef":
        """What the control plane is asked about."""
        from isthmus.v1.control_plane_pb2 import AUTOMATION_KIND_SENSOR, AutomationRef

        return AutomationRef(location=self.location, name=self.name, kind=AUTOMATION_KIND_SENSOR)


@dataclass(frozen=True, kw_only=True)
class TicksOptions(OneSensorOptions):
    """`sensor ticks`."""

    limit: Annotated[int, Option(metavar="N", min=1, max=500, help="So many of the newest.")] = 20
    status: Annotated[
        str,
        Option(metavar="STATUS[,…]", help="Only these: started, skipped, success, failed.", show_default=False),
    ] = ""
    no_headers: Annotated[bool, Option("--no-headers", help="Leave the table's head out.")] = False


@dataclass(frozen=True, kw_only=True)
class TrialOptions(OneSensorOptions):
    """`sensor test` and `sensor preview`."""

    cursor: Annotated[
        str | None, Option(metavar="CURSOR", help="The cursor that it is told; else the one that it has.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class CursorOptions(OneSensorOptions):
    """`sensor cursor`."""

    put: Annotated[
        str | None, Option("--set", metavar="CURSOR", help="Put it here; '' lets the sensor begin anew.")
    ] = None


@command(app, "list", options=ListOptions)
def list_sensors(options: ListOptions) -> None:
    """List the sensors: whether they run, how often they are asked, and what came of the last tick."""
    run_to_end(_list(options))


async def _list(options: ListOptions) -> int:
    from isthmus.v1.control_plane_pb2 import AUTOMATION_KIND_SENSOR

    from isthmus_cli.view.output import note, print_documents, print_lines
    from isthmus_cli.view.paint import Paint
    from isthmus_cli.view.sensor import sensor_table

    async with connected(options) as client:
        sensors = await client.list_automations(location=options.location, kind=AUTOMATION_KIND_SENSOR)
    if options.is_json:
        print_documents(sensors)
    elif sensors:
        print_lines(sensor_table(sensors, paint=Paint.of(), room=options.room))
    else:
        note("There are no sensors. A location's are known once it serves: isthmus location list")
    return 0


@command(app, "show", options=OneSensorOptions)
def show(options: OneSensorOptions) -> None:
    """Tell one sensor whole, with its cursor and its last ticks."""
    run_to_end(_show(options))


async def _show(options: OneSensorOptions) -> int:
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint
    from isthmus_cli.view.sensor import sensor_lines

    async with connected(options) as client:
        sensor = await client.get_automation(options.meant)
        if options.is_json:
            print_document(sensor)
            return 0
        page = await client.list_ticks(options.meant, page_size=5)
    print_lines(sensor_lines(sensor, ticks=page.ticks, paint=Paint.of()))
    return 0


@command(app, "start", options=OneSensorOptions)
def start(options: OneSensorOptions) -> None:
    """Let a sensor run from now on, whatever its code says."""
    run_to_end(_decide(options, is_running=True))


@command(app, "stop", options=OneSensorOptions)
def stop(options: OneSensorOptions) -> None:
    """Let a sensor rest until it is started, also when its code is deployed anew."""
    run_to_end(_decide(options, is_running=False))


async def _decide(options: OneSensorOptions, *, is_running: bool) -> int:
    from isthmus_cli.run_request import person
    from isthmus_cli.view.output import note, print_document
    from isthmus_cli.view.schedule import decision_text

    async with connected(options) as client:
        decide = client.start_automation if is_running else client.stop_automation
        sensor = await decide(options.meant, requested_by=person())
    if options.is_json:
        print_document(sensor)
    else:
        note(decision_text(sensor, word="sensor"))
    return 0


@command(app, "ticks", options=TicksOptions)
def ticks(options: TicksOptions) -> None:
    """List a sensor's ticks, newest first: what they started, why they were skipped, what went wrong."""
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
        note(f"Sensor {options.name} has no such ticks. Try it out: isthmus sensor test {options.name}")
    return 0


@command(app, "test", options=TrialOptions)
def test(options: TrialOptions) -> None:
    """Evaluate a sensor and tell what it would start and change. Nothing is written, and nothing started."""
    run_to_end(_test(options))


@command(app, "preview", options=TrialOptions)
def preview(options: TrialOptions) -> None:
    """The same as `test`: what a sensor would start now is all that is known of what comes."""
    run_to_end(_test(options))


async def _test(options: TrialOptions) -> int:
    from isthmus.v1.control_plane_pb2 import TickStatus

    from isthmus_cli.exit_code import ExitCode
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint
    from isthmus_cli.view.schedule import trial_lines

    async with connected(options) as client:
        trial = await client.test_tick(options.meant, cursor=options.cursor)
    if options.is_json:
        print_document(trial)
    else:
        print_lines(trial_lines(trial, name=options.name, paint=Paint.of()))
    return ExitCode.FAILED if trial.status == TickStatus.TICK_STATUS_FAILED else ExitCode.OK


@command(app, "cursor", options=CursorOptions)
def cursor(options: CursorOptions) -> None:
    """Print where a sensor stands, or put it somewhere else."""
    run_to_end(_cursor(options))


async def _cursor(options: CursorOptions) -> int:
    from isthmus_cli.run_request import person
    from isthmus_cli.view.output import print_document, print_lines

    async with connected(options) as client:
        if options.put is None:
            sensor = await client.get_automation(options.meant)
        else:
            sensor = await client.set_cursor(options.meant, options.put, requested_by=person())
    if options.is_json:
        print_document(sensor)
    else:
        print_lines([sensor.cursor])
    return 0
