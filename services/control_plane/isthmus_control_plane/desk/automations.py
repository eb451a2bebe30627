"""Schedules, for people: shown, started, stopped, looked ahead, and tried out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus_broker.errors import BrokerError
from isthmus_broker.notices import Notice, NoticePublisher
from isthmus_lifecycle.log import get_logger
from isthmus_store import instigators, ticks, wire
from isthmus_store.record.automation import Instigator, InstigatorKey, Tick
from isthmus_store.state import InstigatorStatus, TickStatus
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.automation import roll
from isthmus_control_plane.automation.effects import Effects
from isthmus_control_plane.automation.evaluating import Asked, Evaluator
from isthmus_control_plane.automation.roll import Roll
from isthmus_control_plane.automation.timetable import Clockwork, catch_up
from isthmus_control_plane.core import Core
from isthmus_control_plane.errors import InvalidRequestError, LocationUnavailableError, NotFoundError, Violation
from isthmus_control_plane.fleet import world
from isthmus_control_plane.key import DEFAULT, LocationKey
from isthmus_control_plane.validation import automation as rules
from isthmus_control_plane.validation.definition import Schedule
from isthmus_control_plane.validation.refusal import refuse
from isthmus_control_plane.validation.suggestion import meant

log = get_logger(__name__)

_DEFAULT_PAGE: Final = 50
_DEFAULT_PREVIEW: Final = 10


@dataclass(frozen=True, slots=True)
class AutomationView:
    """A schedule as it stands."""

    instigator: Instigator
    #: None when no location defines it any more.
    schedule: Schedule | None
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
    """Shows schedules, and decides about them on a person's behalf."""

    def __init__(self, core: Core, *, evaluator: Evaluator, memory: world.SyncMemory, notices: NoticePublisher) -> None:
        self._core = core
        self._evaluator = evaluator
        self._memory = memory
        self._notices = notices

    async def all_of(self, request: api.ListAutomationsRequest) -> list[AutomationView]:
        """Return the schedules of a deployment, by location and name."""
        refuse(rules.list_automations(request))
        deployment = request.deployment or DEFAULT
        async with self._core.database.read() as tx:
            found = await self._roll(tx, deployment=deployment)
            wanted = [
                it
                for it in found.known.values()
                if it.deployment == deployment
                and (not request.location or it.location == request.location)
                and (it.gone_at is None or it.decided is not None)
            ]
            newest = await ticks.newest(tx, [it.id for it in wanted])
        return [_view(it, found=found, newest=newest.get(it.id)) for it in wanted]

    async def get(self, ref: api.AutomationRef) -> AutomationView:
        """Return one schedule."""
        refuse(rules.of_automation(ref))
        async with self._core.database.read() as tx:
            found = await self._roll(tx, deployment=ref.deployment or DEFAULT)
            it = _named(ref, found=found)
            newest = await ticks.newest(tx, [it.id])
        return _view(it, found=found, newest=newest.get(it.id))

    async def decide(self, request: api.DecideAutomationRequest, decided: InstigatorStatus) -> AutomationView:
        """Start or stop a schedule: what was decided holds whatever the code says."""
        refuse(rules.decide_automation(request))
        view = await self.get(request.automation)
        key = view.instigator.key
        async with self._core.database.write() as tx:
            await instigators.decide(tx, key, decided, by=request.requested_by, at=clock.now())
        log.info("schedule_decided", location=key.location, schedule=key.name, decided=decided.value)
        self._core.hub.schedules_changed()
        await self._tell(key)
        return await self.get(request.automation)

    async def page(self, request: api.ListTicksRequest) -> TickPage:
        """Return a schedule's ticks, newest first."""
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
        """Evaluate a schedule, and write nothing.

        Raises:
            LocationUnavailableError: No agent serves the location.
            AnswerTimeoutError: The evaluation took too long.
        """
        refuse(rules.test_tick(request))
        view = await self.get(request.automation)
        schedule = _defined(view)
        now = clock.now()
        at = clock.moment(request.at) if request.HasField("at") else _clockwork(view).next(now) or now
        key = LocationKey(view.instigator.deployment, view.instigator.location)
        found = await self._evaluator.ask(Asked(_no_tick(view.instigator, at=at), key, schedule))
        if found is None:
            raise LocationUnavailableError(key.name, why="it does not serve")
        return Trial(at, found)

    async def _roll(self, tx: Transaction, *, deployment: str) -> Roll:
        seen = await world.read(tx, memory=self._memory, at=clock.now(), deployment=deployment)
        return await roll.read(tx, core=self._core, seen=seen, deployment=deployment)

    async def _tell(self, key: InstigatorKey) -> None:
        """Wake the control plane that leads, which may be another one."""
        try:
            await self._notices.publish(Notice(locations=frozenset({f"{key.deployment}/{key.location}"})))
        except BrokerError as error:
            # It looks by itself every few seconds.
            log.info("decision_not_told", schedule=key.name, problem=str(error))


def _named(ref: api.AutomationRef, *, found: Roll) -> Instigator:
    """Return the schedule that is meant.

    Raises:
        NotFoundError: There is none.
        InvalidRequestError: Several locations have one of this name.
    """
    deployment = ref.deployment or DEFAULT
    there = [
        it
        for it in found.known.values()
        if it.deployment == deployment and (not ref.location or it.location == ref.location)
    ]
    named = [it for it in there if it.name == ref.name]
    present = [it for it in named if it.gone_at is None] or named
    if not present:
        hint = meant(ref.name, known=[it.name for it in there if it.gone_at is None])
        remedy = "All schedules: isthmus schedule list"
        raise NotFoundError("schedule", name=ref.name, deployment=deployment, hint=hint, remedy=remedy)
    if len(present) > 1:
        places = ", ".join(sorted(it.location for it in present))
        raise InvalidRequestError([Violation("location", f"schedule {ref.name!r} is in several: {places}; name one")])
    return present[0]


def _view(it: Instigator, *, found: Roll, newest: Tick | None) -> AutomationView:
    schedule = found.schedules.get(it.key)
    if schedule is None:
        return AutomationView(it, None, newest, None, "no location defines it any more")
    clockwork = Clockwork.of(schedule)
    next_at = clockwork.next(clock.now()) if it.is_running else None
    return AutomationView(it, schedule, newest, next_at, clockwork.problem)


def _defined(view: AutomationView) -> Schedule:
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
