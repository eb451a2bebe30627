"""Where a step's process and the run that forks it meet: what each may ask of the other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from isthmus.v1.telemetry_pb2 import Event, RunFailed, RunRef

from isthmus_code_server.definitions.port import DeathWatch, SpawnStep


class RunOfSteps(Protocol):
    """A run whose steps have processes of their own."""

    @property
    def is_cancel_requested(self) -> bool:
        """Whether someone asked for the run to end: the signal went to all its processes then."""
        ...

    @property
    def spawn_step(self) -> SpawnStep | None:
        """Starts a process for a step; None where it may be forked off the run's."""
        ...

    @property
    def claiming(self) -> RunRef | None:
        """The attempt whose steps claim slots of their pools; None where they need not."""
        ...

    @property
    def deaths(self) -> DeathWatch:
        """Tells what the processes of steps died of."""
        ...

    def hand_on(self, event: Event) -> None:
        """Take an event that a step's process told."""
        ...

    def step_died(self, step_key: str, *, death: RunFailed) -> None:
        """Take notice that a step's process ended without a word, before it is told what that makes of the step.

        Args:
            step_key: The step.
            death: What that means for the run, if the step was not tried again.
        """
        ...

    @property
    def written(self) -> int:
        """How many of the run's events are in its journal."""
        ...

    def become_step(
        self, step_key: str, *, retry_number: int, sink: Callable[[Event], None], written: Callable[[], int]
    ) -> None:
        """Turn, in the step's own process, into that step: its output is its own, and its events go to `sink`."""
        ...


@dataclass(kw_only=True)
class StepSite:
    """Holds the run that this process executes, for executors, which Dagster makes without knowing of it."""

    run: RunOfSteps | None = None

    @property
    def current(self) -> RunOfSteps:
        """The run that is being executed."""
        if self.run is None:
            message = "no run is being executed in this process"
            raise LookupError(message)
        return self.run
