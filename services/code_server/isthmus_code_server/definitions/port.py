"""What the code server asks of a project's definitions, whatever framework wrote them."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from isthmus.v1.instruction_pb2 import AutomationSurroundings, RunRequest
from isthmus.v1.telemetry_pb2 import (
    Event,
    LocationSnapshot,
    LogLine,
    RunFailed,
    RunReason,
    RunRef,
    ScheduleAnswer,
    SensorAnswer,
)

from isthmus_code_server.definitions.source import DefinitionsSource

#: Takes an event of the attempt that runs. The order of the calls is the order of the events. Safe from any thread.
EventSink = Callable[[Event], None]
#: Tells what the death of a step's process, with this status as waitpid gives it, means for the run: reason and exit.
ExplainDeath = Callable[[int], RunFailed]


def _unheard(line: LogLine) -> None:
    """Forget a line."""
    del line


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationPlace:
    """Where a schedule or a sensor is evaluated, and who hears what it logs."""

    #: The name of the location; empty where nobody told it.
    location: str = ""
    #: Takes each line that is logged. Safe from any thread.
    take_line: Callable[[LogLine], None] = _unheard


@dataclass(frozen=True, kw_only=True, slots=True)
class SensorTick:
    """What a sensor is told at an evaluation."""

    cursor: str = ""
    last_run_key: str = ""
    #: When the last tick was begun.
    last_tick_at: datetime | None = None
    #: When the sensor was last started.
    last_started_at: datetime | None = None
    #: Of a sensor of automation: what other locations define around it.
    automation: AutomationSurroundings = field(default_factory=AutomationSurroundings)
    place: EvaluationPlace = field(default_factory=EvaluationPlace)


class SpawnStep(Protocol):
    """Starts a process that imports the definitions itself and calls `execute_step`."""

    def __call__(self, ours: socket.socket, theirs: socket.socket, *, step: bytes) -> int:
        """Return the process's id.

        Args:
            ours: Where the step will be heard.
            theirs: The step's end.
            step: What is to be done.
        """
        ...


class DeathWatch(Protocol):
    """Watches over the processes of a run's steps, to tell what they died of."""

    def begin(self) -> ExplainDeath:
        """Begin to watch over one process, right before it starts; returns what explains its death."""
        ...

    def look(self) -> None:
        """Look around; called every few seconds while processes live, once the deaths heard of are explained."""
        ...


def _never() -> bool:
    return False


def _none_written() -> int:
    return 0


def _unexplained(status: int) -> RunFailed:
    """Say of a process only that it ended without a word."""
    del status
    return RunFailed(reason=RunReason.RUN_REASON_USER_ERROR)


class _NoWatch:
    """Explains nothing."""

    def begin(self) -> ExplainDeath:
        return _unexplained

    def look(self) -> None:
        pass


def _stay(step_key: str) -> None:
    """Let a step's process write where the run's does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlace:
    """What a run is told of the place where it is executed."""

    #: Tells, at any moment, whether someone asked for the run to end.
    is_cancel_requested: Callable[[], bool] = _never
    #: Called in a step's own process, where it has one, before anything of the step is done.
    enter_step: Callable[[str], None] = _stay
    #: What the run is to the control plane; None for a run that it does not know.
    attempt: RunRef | None = None
    #: Tells how many of the run's events are in its journal.
    written: Callable[[], int] = _none_written
    #: Starts a process for a step, where it must not be forked off the run's; None where it may be.
    spawn_step: SpawnStep | None = None
    #: Tells what the processes of steps died of.
    deaths: DeathWatch = field(default_factory=_NoWatch)


class PreparedRun(Protocol):
    """A request that was found valid, ready to be executed once."""

    def execute(self, sink: EventSink, *, place: RunPlace) -> None:
        """Execute the run in this process and hand every event on, the terminal one last.

        When the run is interrupted and was asked to end, no terminal event is written: whoever canceled the run writes
        it, once the process is proven gone.

        Args:
            sink: Where the events go.
            place: Where the run is executed.
        """
        ...

    def execute_step(self, channel: socket.socket, *, step: bytes, place: RunPlace) -> None:
        """Execute one step, in a process of its own, of a run that is executed in another.

        Args:
            channel: Where the run's process hears of it.
            step: What the run's process gave to `spawn_step`.
            place: Where the run is executed.
        """
        ...


class Definitions(Protocol):
    """A project's definitions, imported."""

    @property
    def framework(self) -> str:
        """The framework and its version, as in "dagster 1.13.29"."""
        ...

    def describe(self) -> LocationSnapshot:
        """Describe everything that is defined. Equal definitions give equal bytes.

        What was loaded for one run alone describes nothing: that is told by the location's other code server.
        """
        ...

    def warm_up(self) -> None:
        """Do in a child, ahead of its request, what its first run would pay for; nothing of the user's takes part."""
        ...

    def prepare(self, request: RunRequest) -> PreparedRun:
        """Check a request against the definitions.

        Raises:
            InvalidRequestError: With every violation that could be found.
        """
        ...

    def evaluate_schedule(
        self, name: str, *, scheduled_at: datetime, place: EvaluationPlace | None = None
    ) -> ScheduleAnswer:
        """Ask a schedule what to run at a tick. What it wants changed besides is in the answer, and is not changed here.

        Raises:
            UnknownDefinitionError: No schedule has this name.
            Exception: Whatever the user's code raised.
        """
        ...

    def evaluate_sensor(self, name: str, *, tick: SensorTick) -> SensorAnswer:
        """Ask a sensor what to run at a tick. What it wants changed besides is in the answer, and is not changed here.

        Raises:
            UnknownDefinitionError: No sensor has this name.
            Exception: Whatever the user's code raised.
        """
        ...


class LoadDefinitions(Protocol):
    """Imports definitions."""

    def __call__(self, source: DefinitionsSource, home: Path, *, is_for_one_run: bool = False) -> Definitions:
        """Import.

        Args:
            source: Where the definitions come from.
            home: Where values that outlive a run are kept.
            is_for_one_run: Whether only one run will use them.

        Raises:
            DefinitionsLoadError: Importing raised, or nothing to load was found.
        """
        ...
