"""What the code server asks of a project's definitions, whatever framework wrote them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import Event, LocationSnapshot, ScheduleAnswer, SensorAnswer

#: Takes an event of the attempt that runs. The order of the calls is the order of the events. Safe from any thread.
EventSink = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class DefinitionsSource:
    """Where definitions come from: exactly one of module, python file and package is set."""

    module: str = ""
    python_file: str = ""
    package: str = ""
    #: The name of the definitions object; empty to find the only one.
    attribute: str = ""
    #: What comes first on sys.path; empty for the process's own.
    working_directory: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SensorTick:
    """What a sensor is told at an evaluation."""

    cursor: str = ""
    last_run_key: str = ""
    last_tick_at: datetime | None = None


class PreparedRun(Protocol):
    """A request that was found valid, ready to be executed once."""

    def execute(self, sink: EventSink, *, is_cancel_requested: Callable[[], bool]) -> None:
        """Execute the run in this process and hand every event on, the terminal one last.

        When the run is interrupted and `is_cancel_requested` says so, no terminal event is written: whoever canceled
        the run writes it, once the process is proven gone.

        Args:
            sink: Where the events go.
            is_cancel_requested: Tells, at any moment, whether someone asked for the run to end.
        """
        ...


class Definitions(Protocol):
    """A project's definitions, imported."""

    @property
    def framework(self) -> str:
        """The framework and its version, as in "dagster 1.13.29"."""
        ...

    def describe(self) -> LocationSnapshot:
        """Describe everything that is defined. Equal definitions give equal bytes."""
        ...

    def prepare(self, request: RunRequest) -> PreparedRun:
        """Check a request against the definitions.

        Raises:
            InvalidRequestError: With every violation that could be found.
        """
        ...

    def evaluate_schedule(self, name: str, *, scheduled_at: datetime) -> ScheduleAnswer:
        """Ask a schedule what to run at a tick.

        Raises:
            UnknownDefinitionError: No schedule has this name.
            Exception: Whatever the user's code raised.
        """
        ...

    def evaluate_sensor(self, name: str, *, tick: SensorTick) -> SensorAnswer:
        """Ask a sensor what to run at a tick.

        Raises:
            UnknownDefinitionError: No sensor has this name.
            Exception: Whatever the user's code raised.
        """
        ...


#: Imports definitions; the folder is where values that outlive a run are kept. Raises DefinitionsLoadError.
LoadDefinitions = Callable[[DefinitionsSource, Path], Definitions]
