"""`isthmus sensor …`: what sensors saw, what came of it, where they stand, and whether they run."""

from dataclasses import dataclass
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

app = Group("sensor", help="Look at sensors and their ticks, start and stop them, move them, try them out.")

SensorName = Annotated[str, Argument(metavar="SENSOR", help="The sensor's name.", completes="sensors")]


@dataclass(frozen=True, kw_only=True)
class OneSensorOptions(OneOptions):
    """A command about one sensor."""

    word = "sensor"
    name: SensorName


@dataclass(frozen=True, kw_only=True)
class SensorTicksOptions(TicksOptions, OneSensorOptions):
    """`sensor ticks`."""


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
    from isthmus_cli.view.sensor import sensor_lines

    run_to_end(show_one(options, lines=sensor_lines))


@command(app, "start", options=OneSensorOptions)
def start(options: OneSensorOptions) -> None:
    """Let a sensor run from now on, whatever its code says."""
    run_to_end(decide(options, is_running=True))


@command(app, "stop", options=OneSensorOptions)
def stop(options: OneSensorOptions) -> None:
    """Let a sensor rest until it is started, also when its code is deployed anew."""
    run_to_end(decide(options, is_running=False))


@command(app, "ticks", options=SensorTicksOptions)
def ticks(options: SensorTicksOptions) -> None:
    """List a sensor's ticks, newest first: what they started, why they were skipped, what went wrong."""
    run_to_end(list_ticks(options, hint=f"Try it out: isthmus sensor test {options.name}"))


@command(app, "test", options=TrialOptions)
def test(options: TrialOptions) -> None:
    """Evaluate a sensor and tell what it would start and change. Nothing is written, and nothing started."""
    run_to_end(_test(options))


@command(app, "preview", options=TrialOptions)
def preview(options: TrialOptions) -> None:
    """The same as `test`: what a sensor would start now is all that is known of what comes."""
    run_to_end(_test(options))


async def _test(options: TrialOptions) -> int:
    async with connected(options) as client:
        return tell_trial(options, await client.test_tick(options.meant, cursor=options.cursor))


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
