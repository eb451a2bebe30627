"""Schedules and sensors, for people: shown, started, stopped, looked ahead, and tried out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus_broker.notices import NoticePublisher
from isthmus_lifecycle.log import get_logger
from isthmus_store import instigators, ticks, wire
from isthmus_store.record.automation import Instigator, Tick
from isthmus_store.record.queue import PauseKind
from isthmus_store.state import InstigatorKind, InstigatorStatus, TickStatus
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.automation import roll
from isthmus_control_plane.automation.asked import Asked, ScheduleAsked, SensorAsked
from isthmus_control_plane.automation.effects import Effects
from isthmus_control_plane.automation.evaluating import Evaluator
from isthmus_control_plane.automation.roll import Roll
from isthmus_control_plane.automation.timetable import Clockwork, catch_up
from isthmus_control_plane.automation.watchlist import Entry
from isthmus_control_plane.core import Core
from isthmus_control_plane.errors import InvalidRequestError, LocationUnavailableError, NotFoundError, Violation
from isthmus_control_plane.fleet import world
from isthmus_control_plane.fleet.telling import tell_leader
from isthmus_control_plane.key import DEFAULT, LocationKey
from isthmus_control_plane.validation import automation as rules
from isthmus_control_plane.validation.definition import Schedule, Sensor
from isthmus_control_plane.validation.refusal import refuse
from isthmus_control_plane.validation.suggestion import meant

log = get_logger(__name__)

_DEFAULT_PAGE: Final = 50
_DEFAULT_PREVIEW: Final = 10


@dataclass(frozen=True, slots=True)
class AutomationView:
    """A schedule or a sensor as it stands."""

    instigator: Instigator
    #: One of them is there; neither when no location defines it any more.
    schedule: Schedule | None
    sensor: Sensor | None
    newest: Tick | None
    next_at: datetime | None
    #: Why it has no times, for people.
    problem: str

    @property
    def catch_up(self) -> int:
        """How many missed times are made up for."""
        return catch_up(self.schedule) if self.schedule is not None else 1


@dataclass(frozen=True, slots=True)
class TickPage:
    """Some ticks, and whether there are older ones."""

    ticks: Sequence[Tick]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """What a tick would come to."""

    at: datetime
    effects: Effects


class AutomationDesk:
    """Shows schedules and sensors, and decides about them on a person's behalf."""

    def __init__(self, core: Core, *, evaluator: Evaluator, memory: world.SyncMemory, notices: NoticePublisher) -> None:
        self._core = core
        self._evaluator = evaluator
        self._memory = memory
        self._notices = notices

    async def all_of(self, request: api.ListAutomationsRequest) -> list[AutomationView]:
        """Return the schedules and sensors of a deployment, by location, kind and name."""
        refuse(rules.list_automations(request))
        deployment = request.deployment or DEFAULT
        async with self._core.database.read() as tx:
            found = await self._roll(tx, deployment=deployment)
            wanted = [
                it
                for it in found.known.values()
                if it.deployment == deployment
                and (not request.location or it.location == request.location)
                and _is_of_kind(it, request.kind)
                and (it.gone_at is None or it.decided is not None)
            ]
            newest = await ticks.newest(tx, [it.id for it in wanted])
        return [_view(it, found=found, newest=newest.get(it.id)) for it in wanted]

    async def get(self, ref: api.AutomationRef) -> AutomationView:
        """Return one schedule or sensor."""
        refuse(rules.of_automation(ref))
        async with self._core.database.read() as tx:
            found = await self._roll(tx, deployment=ref.deployment or DEFAULT)
            it = _named(ref, found=found)
            newest = await ticks.newest(tx, [it.id])
        return _view(it, found=found, newest=newest.get(it.id))

    async def decide(self, request: api.DecideAutomationRequest, decided: InstigatorStatus) -> AutomationView:
        """Start or stop a schedule or a sensor: what was decided holds whatever the code says."""
        refuse(rules.decide_automation(request))
        view = await self.get(request.automation)
        key = view.instigator.key
        async with self._core.database.write() as tx:
            await instigators.decide(tx, key, decided, by=request.requested_by, at=clock.now())
        log.info("automation_decided", kind=key.kind.value, location=key.location, name=key.name, decided=decided.value)
        self._core.hub.schedules_changed()
        await tell_leader(self._notices, [LocationKey(key.deployment, key.location)])
        return await self.get(request.automation)

    async def page(self, request: api.ListTicksRequest) -> TickPage:
        """Return the ticks of a schedule or a sensor, newest first."""
        refuse(rules.list_ticks(request))
        it = (await self.get(request.automation)).instigator
        limit = request.page_size or _DEFAULT_PAGE
        async with self._core.database.read() as tx:
            found = await ticks.page(
                tx,
                it.id,
                limit=limit + 1,
                before=clock.moment(request.before) if request.HasField("before") else None,
                statuses={
                    wire.TICK_STATUSES.from_wire(status, otherwise=TickStatus.STARTED) for status in request.statuses
                },
            )
        return TickPage(found[:limit], has_more=len(found) > limit)

    async def preview(self, request: api.PreviewTicksRequest) -> list[datetime]:
        """Return when a schedule is due next, whether it runs or not."""
        refuse(rules.preview_ticks(request))
        view = await self.get(request.automation)
        after = clock.moment(request.after) if request.HasField("after") else clock.now()
        return _clockwork(view).upcoming(after, count=request.count or _DEFAULT_PREVIEW)

    async def test(self, request: api.TestTickRequest) -> Trial:
        """Evaluate a schedule or a sensor, and write nothing.

        Raises:
            LocationUnavailableError: No agent serves the location.
            AnswerTimeoutError: The evaluation took too long.
        """
        refuse(rules.test_tick(request))
        view = await self.get(request.automation)
        asked = _tried_sensor(view, request) if view.sensor is not None else _tried_schedule(view, request)
        found = await self._evaluator.ask(asked)
        if found is None:
            raise LocationUnavailableError(asked.location.name, why="it does not serve")
        return Trial(asked.tick.at, found)

    async def set_cursor(self, request: api.SetCursorRequest) -> AutomationView:
        """Put a sensor's cursor somewhere else."""
        refuse(rules.set_cursor(request))
        it = (await self.get(request.automation)).instigator
        if it.kind is not InstigatorKind.SENSOR:
            raise InvalidRequestError([Violation("automation", f"{it.name!r} is a schedule, which has no cursor")])
        async with self._core.database.write() as tx:
            await instigators.set_cursor(tx, it.id, wire.storable(request.cursor))
        log.info("cursor_set", location=it.location, sensor=it.name, by=request.requested_by)
        self._core.hub.schedules_changed()
        await tell_leader(self._notices, [LocationKey(it.deployment, it.location)])
        return await self.get(request.automation)

    async def _roll(self, tx: Transaction, *, deployment: str) -> Roll:
        seen = await world.read(tx, memory=self._memory, at=clock.now(), deployment=deployment)
        return await roll.read(tx, core=self._core, seen=seen, deployment=deployment)


def _named(ref: api.AutomationRef, *, found: Roll) -> Instigator:
    """Return the schedule or the sensor that is meant.

    Raises:
        NotFoundError: There is none.
        InvalidRequestError: There are several of this name.
    """
    deployment = ref.deployment or DEFAULT
    there = [
        it
        for it in found.known.values()
        if it.deployment == deployment
        and (not ref.location or it.location == ref.location)
        and _is_of_kind(it, ref.kind)
    ]
    named = [it for it in there if it.name == ref.name]
    present = [it for it in named if it.gone_at is None] or named
    if not present:
        hint = meant(ref.name, known=[it.name for it in there if it.gone_at is None])
        word = "sensor" if ref.kind == api.AUTOMATION_KIND_SENSOR else "schedule"
        remedy = f"All {word}s: isthmus {word} list"
        raise NotFoundError(word, name=ref.name, deployment=deployment, hint=hint, remedy=remedy)
    if len(present) > 1:
        places = ", ".join(sorted(f"{it.kind.value.lower()} of {it.location}" for it in present))
        raise InvalidRequestError([Violation("location", f"{ref.name!r} is in several: {places}; name one")])
    return present[0]


def _view(it: Instigator, *, found: Roll, newest: Tick | None) -> AutomationView:
    view, pause = _view_of(it, found=found, newest=newest), found.pause_of(it.key)
    if pause is None or view.problem or not it.is_running:
        return view
    who = f" by {pause.paused_by}" if pause.paused_by else ""
    why = f": {pause.why}" if pause.why else ""
    what = f"location {pause.name}" if pause.kind is PauseKind.LOCATION else f"the {pause.kind.value.lower()}"
    return replace(view, next_at=None, problem=f"{what} was paused{who}{why}")


def _view_of(it: Instigator, *, found: Roll, newest: Tick | None) -> AutomationView:
    schedule, sensor, now = found.schedules.get(it.key), found.sensors.get(it.key), clock.now()
    if sensor is not None:
        next_at = Entry(it, sensor).next_at(now) if it.is_running else None
        return AutomationView(it, None, sensor, newest, next_at, problem="")
    if schedule is None:
        return AutomationView(it, None, None, newest, None, "no location defines it any more")
    clockwork = Clockwork.of(schedule)
    next_at = clockwork.next(now) if it.is_running else None
    return AutomationView(it, schedule, None, newest, next_at, clockwork.problem)


def _is_of_kind(it: Instigator, kind: int) -> bool:
    wanted = {api.AUTOMATION_KIND_SCHEDULE: InstigatorKind.SCHEDULE, api.AUTOMATION_KIND_SENSOR: InstigatorKind.SENSOR}
    return kind not in wanted or it.kind is wanted[api.AutomationKind.ValueType(kind)]


def _tried_schedule(view: AutomationView, request: api.TestTickRequest) -> Asked:
    it, schedule, now = view.instigator, _defined(view), clock.now()
    at = clock.moment(request.at) if request.HasField("at") else _clockwork(view).next(now) or now
    return ScheduleAsked(_no_tick(it, at=at), LocationKey(it.deployment, it.location), schedule)


def _tried_sensor(view: AutomationView, request: api.TestTickRequest) -> Asked:
    it, sensor = view.instigator, view.sensor
    if sensor is None:
        raise InvalidRequestError([Violation("automation", f"{it.name!r} cannot be tried out: {view.problem}")])
    remembered = replace(it, cursor=request.cursor) if request.HasField("cursor") else it
    return SensorAsked(_no_tick(it, at=clock.now()), remembered, sensor, it.last_tick_at)


def _defined(view: AutomationView) -> Schedule:
    if view.sensor is not None:
        text = f"{view.instigator.name!r} is a sensor, which has no times"
        raise InvalidRequestError([Violation("automation", text)])
    if view.schedule is None:
        it = view.instigator
        raise NotFoundError("schedule", name=it.name, deployment=it.deployment, hint=view.problem)
    return view.schedule


def _clockwork(view: AutomationView) -> Clockwork:
    return Clockwork.of(_defined(view))


def _no_tick(it: Instigator, *, at: datetime) -> Tick:
    """Return a tick that is not stored: it is asked about, and nothing becomes of it."""
    return Tick(
        id=0,
        instigator_id=it.id,
        at=at,
        status=TickStatus.STARTED,
        attempts=1,
        began_at=at,
        ended_at=None,
        run_ids=(),
        skip_reason="",
        failure=b"",
        evaluation=b"",
        cursor="",
    )
