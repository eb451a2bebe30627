"""What locations define that starts runs by itself, beside what the store knows of it."""

from dataclasses import dataclass, field
from typing import Final

from isthmus_store import branches, instigators, pauses
from isthmus_store.record.automation import Defined, Instigator, InstigatorKey
from isthmus_store.record.queue import Pause, PauseKind
from isthmus_store.state import InstigatorKind
from isthmus_store.transaction import Transaction

from isthmus_control_plane.automation.timetable import fingerprint
from isthmus_control_plane.core import Core
from isthmus_control_plane.fleet.world import World
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.validation.definition import Schedule, Sensor

_SENSOR: Final = "sensor"


@dataclass(frozen=True, slots=True)
class Roll:
    """One moment's schedules and sensors."""

    #: As their locations define them; of a location that does not serve now, as it did last.
    schedules: dict[InstigatorKey, Schedule] = field(default_factory=dict)
    sensors: dict[InstigatorKey, Sensor] = field(default_factory=dict)
    #: As the store knows them, with those that no location defines any more.
    known: dict[InstigatorKey, Instigator] = field(default_factory=dict)
    #: Locations of which it is known what they define, or that there is nothing.
    certain: frozenset[LocationKey] = frozenset()
    #: Locations that somebody wants.
    wanted: frozenset[LocationKey] = frozenset()
    #: What somebody paused.
    pauses: tuple[Pause, ...] = ()
    #: Deployments of branches: there everything rests until somebody starts it, whatever the code says.
    branches: frozenset[str] = frozenset()

    def pause_of(self, key: InstigatorKey) -> Pause | None:
        """Return what keeps ticks from being begun: the deployment's pause, or the location's."""
        for it in self.pauses:
            is_of_location = it.kind is PauseKind.LOCATION and it.name == key.location
            if it.deployment == key.deployment and (it.kind is PauseKind.DEPLOYMENT or is_of_location):
                return it
        return None

    def paused(self) -> frozenset[int]:
        """Return the instigators of which no tick is to be begun."""
        return frozenset(it.id for key, it in self.known.items() if self.pause_of(key) is not None)

    def defined(self) -> list[Defined]:
        """Return what the store does not know as it is defined now."""
        all_of = [self._defined(key, it, definition=fingerprint(it)) for key, it in self.schedules.items()]
        # When a sensor is due follows from its last tick and its interval: no change of its definition makes that count anew.
        all_of += [self._defined(key, it, definition=_SENSOR) for key, it in self.sensors.items()]
        return [it for it in all_of if instigators.differs(self.known.get(it.key), it)]

    def gone(self) -> list[int]:
        """Return those that left the code, or whose location was removed."""
        return [
            it.id
            for key, it in self.known.items()
            if it.gone_at is None and key not in self.schedules and key not in self.sensors and self._is_certain(key)
        ]

    def _defined(self, key: InstigatorKey, it: Schedule | Sensor, *, definition: str) -> Defined:
        is_running = it.is_running_by_default and key.deployment not in self.branches
        return Defined(key=key, definition=definition, is_running_by_default=is_running)

    def _is_certain(self, key: InstigatorKey) -> bool:
        location = LocationKey(key.deployment, key.location)
        return location in self.certain or location not in self.wanted


async def read(
    tx: Transaction,
    *,
    core: Core,
    seen: World,
    deployment: str | None = None,
) -> Roll:
    """Read the roll of one deployment, or of all; `seen` is the same transaction's world."""
    schedules: dict[InstigatorKey, Schedule] = {}
    sensors: dict[InstigatorKey, Sensor] = {}
    certain = set()
    for place in seen.placements:
        held = seen.defining(place)
        definitions = await core.definitions.get(tx, held.snapshot_hash) if held is not None else None
        if held is None or definitions is None:
            continue
        if held.serving_generation:
            certain.add(place)
        for schedule in definitions.schedules.values():
            schedules[InstigatorKey(place.deployment, place.name, InstigatorKind.SCHEDULE, schedule.name)] = schedule
        for sensor in definitions.sensors.values():
            sensors[InstigatorKey(place.deployment, place.name, InstigatorKind.SENSOR, sensor.name)] = sensor
    known = await instigators.all_of(tx, deployment=deployment)
    paused = await pauses.all_of(tx, deployments=[deployment] if deployment is not None else None)
    return Roll(
        schedules,
        sensors,
        {it.key: it for it in known},
        frozenset(certain),
        frozenset(seen.locations),
        tuple(paused),
        await branches.deployments(tx),
    )
