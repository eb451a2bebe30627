"""What is asked at a tick, and what is made of the answer."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from isthmus.v1.instruction_pb2 import AutomationSurroundings, Instruction
from isthmus.v1.telemetry_pb2 import InstructionResult
from isthmus_store.record.automation import Instigator, Tick

from isthmus_control_plane import clock
from isthmus_control_plane.automation import effects
from isthmus_control_plane.automation.effects import Effects
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.validation.definition import AUTOMATION, Schedule, Sensor


class Asked(Protocol):
    """A tick, and the question that it is."""

    @property
    def tick(self) -> Tick:
        """The tick."""
        ...

    @property
    def location(self) -> LocationKey:
        """Where the question is answered."""
        ...

    @property
    def what(self) -> str:
        """What is asked, for people, as in "schedule"."""
        ...

    def fill(self, instruction: Instruction) -> None:
        """Put the question into an instruction."""
        ...

    def effects_of(self, result: InstructionResult) -> Effects:
        """Turn an answer into what the tick comes to."""
        ...


@dataclass(frozen=True, slots=True)
class ScheduleAsked:
    """A tick of a schedule."""

    tick: Tick
    location: LocationKey
    schedule: Schedule
    what: str = "schedule"

    def fill(self, instruction: Instruction) -> None:
        """Put the question into an instruction."""
        question = instruction.evaluate_schedule
        question.location, question.schedule_name = self.location.name, self.schedule.name
        question.scheduled_at.CopyFrom(clock.stamp(self.tick.at))

    def effects_of(self, result: InstructionResult) -> Effects:
        """Turn an answer into what the tick comes to."""
        origin = effects.of_schedule(
            self.location, name=self.schedule.name, target=self.schedule.target, tick=self.tick
        )
        return effects.of_schedule_result(result, origin=origin)


@dataclass(frozen=True, slots=True)
class SensorAsked:
    """A tick of a sensor, with what the sensor remembers."""

    tick: Tick
    instigator: Instigator
    sensor: Sensor
    #: When the tick before was begun; None for the first.
    last_tick_at: datetime | None
    #: Of one of automation: what other locations define around it.
    surroundings: AutomationSurroundings = field(default_factory=AutomationSurroundings)
    what: str = "sensor"

    @property
    def location(self) -> LocationKey:
        """Where the question is answered."""
        return LocationKey(self.instigator.deployment, self.instigator.location)

    def fill(self, instruction: Instruction) -> None:
        """Put the question into an instruction."""
        question, it = instruction.evaluate_sensor, self.instigator
        question.location, question.sensor_name = it.location, it.name
        question.cursor, question.last_run_key = it.cursor, it.last_run_key
        question.last_started_at.CopyFrom(clock.stamp(it.since))
        if self.last_tick_at is not None:
            question.last_tick_at.CopyFrom(clock.stamp(self.last_tick_at))
        if self.sensor.kind == AUTOMATION:
            question.automation.CopyFrom(self.surroundings)

    def effects_of(self, result: InstructionResult) -> Effects:
        """Turn an answer into what the tick comes to."""
        targets = self.sensor.targets
        origin = effects.of_sensor(
            self.location,
            name=self.sensor.name,
            target=targets[0] if len(targets) == 1 else None,
            tick=self.tick,
            is_automation=self.sensor.kind == AUTOMATION,
        )
        return effects.of_sensor_result(result, origin=origin)
