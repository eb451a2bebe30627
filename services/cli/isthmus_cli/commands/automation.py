"""What the commands about schedules and those about sensors have in common."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from isthmus_cli.options import ListingOptions, Option, OutputFormat, PrintOptions
from isthmus_cli.session import connected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isthmus.v1.control_plane_pb2 import Automation, AutomationRef, TestedTick, Tick

    from isthmus_cli.view.paint import Paint


@dataclass(frozen=True, kw_only=True)
class ListOptions(ListingOptions):
    """`schedule list` and `sensor list`."""

    location: Annotated[
        str, Option(metavar="LOCATION", help="Of this location only.", completes="locations", show_default=False)
    ] = ""


@dataclass(frozen=True, kw_only=True)
class OneOptions(PrintOptions):
    """A command about one schedule or sensor. Subclasses say what `name` is."""

    #: "schedule" or "sensor".
    word: ClassVar[str]

    name: str
    location: Annotated[
        str,
        Option(metavar="LOCATION", help="Its location, where several have one of the name.", completes="locations"),
    ] = ""

    @property
    def meant(self) -> "AutomationRef":
        """What the control plane is asked about."""
        from isthmus.v1.control_plane_pb2 import AutomationKind, AutomationRef

        kind = AutomationKind.Value(f"AUTOMATION_KIND_{self.word.upper()}")
        return AutomationRef(location=self.location, name=self.name, kind=kind)


@dataclass(frozen=True, kw_only=True)
class TicksOptions(OneOptions):
    """`schedule ticks` and `sensor ticks`."""

    limit: Annotated[int, Option(metavar="N", min=1, max=500, help="So many of the newest.")] = 20
    status: Annotated[
        str,
        Option(metavar="STATUS[,…]", help="Only these: started, skipped, success, failed.", show_default=False),
    ] = ""
    no_headers: Annotated[bool, Option("--no-headers", help="Leave the table's head out.")] = False


async def show_one(options: OneOptions, *, lines: "Callable[[Automation, Sequence[Tick], Paint], list[str]]") -> int:
    """Tell one whole, with its last ticks."""
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint

    async with connected(options) as client:
        automation = await client.get_automation(options.meant)
        if options.is_json:
            print_document(automation)
            return 0
        page = await client.list_ticks(options.meant, page_size=5)
    print_lines(lines(automation, page.ticks, Paint.of()))
    return 0


async def decide(options: OneOptions, *, is_running: bool) -> int:
    """Let one run, or rest."""
    from isthmus_cli.run_request import person
    from isthmus_cli.view.automation import decision_text
    from isthmus_cli.view.output import note, print_document

    async with connected(options) as client:
        call = client.start_automation if is_running else client.stop_automation
        automation = await call(options.meant, requested_by=person())
    if options.is_json:
        print_document(automation)
    else:
        note(decision_text(automation, word=options.word))
    return 0


async def list_ticks(options: TicksOptions, *, hint: str) -> int:
    """List the ticks of one; without any, `hint` says what to do."""
    from isthmus_cli.view.automation import tick_statuses, tick_table
    from isthmus_cli.view.output import note, print_documents, print_lines
    from isthmus_cli.view.paint import Paint
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
        note(f"{options.word.capitalize()} {options.name} has no such ticks. {hint}")
    return 0


def tell_trial(options: OneOptions, trial: "TestedTick") -> int:
    """Tell what a tick would come to; returns the exit code."""
    from isthmus.v1.control_plane_pb2 import TickStatus

    from isthmus_cli.exit_code import ExitCode
    from isthmus_cli.view.automation import trial_lines
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint

    if options.is_json:
        print_document(trial)
    else:
        print_lines(trial_lines(trial, name=options.name, paint=Paint.of()))
    return ExitCode.FAILED if trial.status == TickStatus.TICK_STATUS_FAILED else ExitCode.OK
