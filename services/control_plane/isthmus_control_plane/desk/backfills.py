"""Backfills, for people: looked ahead, made, shown, paused, ended, and done again where they failed."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.control_plane_pb2 import BackfillPlan
from isthmus_broker.notices import NoticePublisher
from isthmus_lifecycle.log import get_logger
from isthmus_store import backfills
from isthmus_store.backfills import BackfillQuery, RunsOf, new_id
from isthmus_store.record.backfill import Backfill, BackfillDecision, BackfillRun, Count, NewBackfill, PlannedRun
from isthmus_store.state import BackfillState
from isthmus_store.transaction import Transaction, WriteTransaction

from isthmus_control_plane import clock
from isthmus_control_plane.backfills.making import kept, new_backfill
from isthmus_control_plane.backfills.planner import Planner
from isthmus_control_plane.backfills.target import Plan, blocked_of
from isthmus_control_plane.core import Core
from isthmus_control_plane.errors import ConflictError, NotFoundError, PreconditionError
from isthmus_control_plane.fleet.telling import tell_leader
from isthmus_control_plane.key import DEFAULT, LocationKey
from isthmus_control_plane.validation import backfill as rules
from isthmus_control_plane.validation.refusal import refuse

log = get_logger(__name__)

_DEFAULT_PAGE: Final = 50
_DECISIONS: Final = 100

_States = api.BackfillState


@dataclass(frozen=True, slots=True)
class BackfillView:
    """A backfill, and what came of its runs."""

    backfill: Backfill
    counts: Sequence[Count]


@dataclass(frozen=True, slots=True)
class BackfillWhole:
    """A backfill, with what was decided about it last."""

    view: BackfillView
    decisions: Sequence[BackfillDecision]


@dataclass(frozen=True, slots=True)
class BackfillPage:
    """Some backfills, newest first."""

    backfills: Sequence[BackfillView]
    next_token: str


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs of a backfill, in their order."""

    backfill: Backfill
    runs: Sequence[BackfillRun]
    has_more: bool


class BackfillDesk:
    """Makes backfills and decides about them on a person's behalf; whoever leads carries it out."""

    def __init__(self, core: Core, *, planner: Planner, notices: NoticePublisher) -> None:
        self._core = core
        self._planner = planner
        self._notices = notices

    async def preview(self, request: api.CreateBackfillRequest) -> Plan:
        """Return what a backfill would make.

        Raises:
            InvalidRequestError: It could not be made.
            LocationUnavailableError: Nobody knows yet what the location defines.
        """
        refuse(rules.create(request))
        async with self._core.database.read() as tx:
            return await self._planner.plan(tx, request, at=clock.now())

    async def create(self, request: api.CreateBackfillRequest) -> BackfillView:
        """Make a backfill; an id that exists returns the backfill of it, when it is one of the same request."""
        refuse(rules.create(request))
        at = clock.now()
        asked = kept(request)
        if request.backfill_id and (existing := await self._existing(request)) is not None:
            return _same(existing, asked=asked)
        async with self._core.database.read() as tx:
            plan = await self._planner.plan(tx, request, at=at)
        return await self._write(new_backfill(request, plan=plan, at=at))

    async def retry(self, request: api.RetryBackfillRequest) -> BackfillView:
        """Make a backfill of what failed or was canceled of one that has ended.

        Raises:
            NotFoundError: There is no such parent.
            PreconditionError: It has not ended, or nothing is left to do again.
        """
        refuse(rules.retry(request))
        deployment = request.deployment or DEFAULT
        async with self._core.database.read() as tx:
            parent = await _find(tx, deployment=deployment, backfill_id=request.parent_backfill_id)
            if request.backfill_id:
                existing = await backfills.get(tx, deployment=deployment, backfill_id=request.backfill_id)
                if existing is not None:
                    return _same_retry(await _view(tx, existing), parent=parent)
            runs = _to_do_again(parent, await backfills.unmet(tx, parent.id))
        new = NewBackfill(
            deployment=deployment,
            backfill_id=request.backfill_id or new_id(),
            location=parent.location,
            job_name=parent.job_name,
            request=parent.request,
            plan=parent.plan,
            max_runs=parent.max_runs,
            requested_by=request.requested_by,
            created_at=clock.now(),
            runs=runs,
            blocked=blocked_of(BackfillPlan.FromString(parent.plan).groups),
            parent_id=parent.backfill_id,
            root_id=parent.root_id or parent.backfill_id,
        )
        return await self._write(new)

    async def get(self, ref: api.BackfillRef) -> BackfillWhole:
        """Return one backfill."""
        refuse(rules.of_backfill(deployment=ref.deployment, backfill_id=ref.backfill_id))
        async with self._core.database.read() as tx:
            it = await _find(tx, deployment=ref.deployment or DEFAULT, backfill_id=ref.backfill_id)
            decided = await backfills.decisions(tx, it.id, limit=_DECISIONS)
            return BackfillWhole(await _view(tx, it), decided)

    async def page(self, request: api.ListBackfillsRequest) -> BackfillPage:
        """Return a page of backfills, newest first."""
        refuse(rules.list_backfills(request))
        size, states = request.page_size or _DEFAULT_PAGE, set(request.states)
        query = BackfillQuery(
            deployment=request.deployment or DEFAULT,
            states=frozenset(_state(it) for it in states),
            is_paused=_is_paused(states),
            location=request.location,
            job_name=request.job_name,
            before=int(request.page_token or 0),
            limit=size + 1,
        )
        async with self._core.database.read() as tx:
            found = await backfills.page(tx, query)
            shown = found[:size]
            counts = await backfills.counts(tx, [it.id for it in shown])
        token = str(shown[-1].id) if len(found) > size else ""
        return BackfillPage([BackfillView(it, counts[it.id]) for it in shown], token)

    async def runs(self, request: api.ListBackfillRunsRequest) -> RunPage:
        """Return some runs of a backfill."""
        refuse(rules.list_runs(request))
        size = request.page_size or rules.MAX_RUNS_PAGE
        async with self._core.database.read() as tx:
            it = await _find(tx, deployment=request.deployment or DEFAULT, backfill_id=request.backfill_id)
            query = RunsOf(
                backfill=it.id, is_failed_only=request.is_failed_only, after=request.after_number, limit=size + 1
            )
            found = await backfills.runs_of(tx, query)
        return RunPage(it, found[:size], has_more=len(found) > size)

    # ------------------------------------------------------------------------------------------------------- decisions

    async def cancel(self, request: api.DecideBackfillRequest) -> BackfillView:
        """Ask for a backfill's end; one that has ended stays as it is."""

        async def decide(tx: WriteTransaction, it: Backfill, at: datetime) -> None:
            if it.state is not BackfillState.RUNNING:
                return
            await backfills.set_state(tx, it.id, BackfillState.CANCELING, at=at)
            await _note(tx, it, f"Its end was asked for{_by(request)}.", at=at)

        return await self._decide(request, decide)

    async def pause(self, request: api.DecideBackfillRequest) -> BackfillView:
        """Make no more runs until the backfill is resumed."""

        async def decide(tx: WriteTransaction, it: Backfill, at: datetime) -> None:
            if it.state is not BackfillState.RUNNING:
                raise _has_ended(it)
            if it.paused_at is None:
                await backfills.set_paused(tx, it.id, at=at, by=request.requested_by)
                await _note(tx, it, f"It was paused{_by(request)}.", at=at)

        return await self._decide(request, decide)

    async def resume(self, request: api.DecideBackfillRequest) -> BackfillView:
        """Let a paused backfill go on."""

        async def decide(tx: WriteTransaction, it: Backfill, at: datetime) -> None:
            if it.state is not BackfillState.RUNNING:
                raise _has_ended(it)
            if it.paused_at is None:
                raise PreconditionError(
                    f"backfills/{it.backfill_id}", rule="NOT_PAUSED", why=f"backfill {it.backfill_id} is not paused."
                )
            await backfills.set_paused(tx, it.id, at=None, by="")
            await _note(tx, it, f"It was resumed{_by(request)}.", at=at)

        return await self._decide(request, decide)

    async def _decide(
        self,
        request: api.DecideBackfillRequest,
        decide: Callable[[WriteTransaction, Backfill, datetime], Awaitable[None]],
    ) -> BackfillView:
        refuse(rules.decide(request))
        deployment = request.deployment or DEFAULT
        async with self._core.database.write() as tx:
            known = await _find(tx, deployment=deployment, backfill_id=request.backfill_id)
            # What it is now: whoever leads may have ended it meanwhile.
            await decide(tx, await backfills.lock(tx, known.id) or known, clock.now())
            after = await _find(tx, deployment=deployment, backfill_id=request.backfill_id)
            view = await _view(tx, after)
        await self._tell(after)
        return view

    # ---------------------------------------------------------------------------------------------------------- making

    async def _existing(self, request: api.CreateBackfillRequest) -> BackfillView | None:
        async with self._core.database.read() as tx:
            it = await backfills.get(tx, deployment=request.deployment or DEFAULT, backfill_id=request.backfill_id)
            return await _view(tx, it) if it is not None else None

    async def _write(self, new: NewBackfill) -> BackfillView:
        async with self._core.database.write() as tx:
            made = await backfills.create(tx, new)
            if made is None:
                raise ConflictError("backfill", name=new.backfill_id, why="it was made at this moment. Call again.")
            by = f" by {new.requested_by}" if new.requested_by else ""
            again = f"Does again what failed of {new.parent_id}, asked for" if new.parent_id else "Asked for"
            await backfills.note(
                tx, made.id, BackfillDecision(at=new.created_at, text=f"{again}{by}.", runs=len(new.runs))
            )
            view = await _view(tx, made)
        log.info("backfill_made", backfill=made.backfill_id, location=made.location, runs=len(new.runs))
        await self._tell(made)
        return view

    async def _tell(self, it: Backfill) -> None:
        self._core.hub.backfills.ring()
        places = {group.location for group in BackfillPlan.FromString(it.plan).groups}
        await tell_leader(self._notices, [LocationKey(it.deployment, place) for place in places])


async def _find(tx: Transaction, *, deployment: str, backfill_id: str) -> Backfill:
    it = await backfills.get(tx, deployment=deployment, backfill_id=backfill_id)
    if it is None:
        raise NotFoundError(
            "backfill", name=backfill_id, deployment=deployment, remedy="All backfills: isthmus backfill list"
        )
    return it


async def _view(tx: Transaction, it: Backfill) -> BackfillView:
    return BackfillView(it, (await backfills.counts(tx, [it.id]))[it.id])


async def _note(tx: WriteTransaction, it: Backfill, text: str, *, at: datetime) -> None:
    await backfills.note(tx, it.id, BackfillDecision(at=at, text=text, runs=0))


def _by(request: api.DecideBackfillRequest) -> str:
    return f" by {request.requested_by}" if request.requested_by else ""


def _has_ended(it: Backfill) -> PreconditionError:
    what = "is being canceled" if it.state is BackfillState.CANCELING else "has ended"
    return PreconditionError(
        f"backfills/{it.backfill_id}", rule="BACKFILL_ENDED", why=f"backfill {it.backfill_id} {what}."
    )


def _same(existing: BackfillView, *, asked: api.CreateBackfillRequest) -> BackfillView:
    it = existing.backfill
    if it.parent_id or api.CreateBackfillRequest.FromString(it.request) != asked:
        raise ConflictError("backfill", name=it.backfill_id, why="its request differs. Use a new backfill_id.")
    return existing


def _same_retry(existing: BackfillView, *, parent: Backfill) -> BackfillView:
    it = existing.backfill
    if it.parent_id != parent.backfill_id:
        why = f"it does not retry {parent.backfill_id}. Use a new backfill_id."
        raise ConflictError("backfill", name=it.backfill_id, why=why)
    return existing


def _to_do_again(parent: Backfill, unmet: Sequence[PlannedRun]) -> list[PlannedRun]:
    subject, name = f"backfills/{parent.backfill_id}", parent.backfill_id
    if parent.ended_at is None:
        why = f"backfill {name} has not ended: wait for its end, or cancel it first."
        raise PreconditionError(subject, rule="PARENT_NOT_ENDED", why=why)
    if not unmet:
        raise PreconditionError(subject, rule="NOTHING_FAILED", why=f"nothing of backfill {name} failed.")
    return [replace(it, number=number) for number, it in enumerate(unmet, start=1)]


def _state(number: int) -> BackfillState:
    name = _States.Name(_States.ValueType(number)).removeprefix("BACKFILL_STATE_")
    return BackfillState.RUNNING if name == "PAUSED" else BackfillState(name)


def _is_paused(states: set[_States.ValueType]) -> bool | None:
    """Tell whether those that run are to be paused, or not; None for either."""
    is_running, is_paused = api.BACKFILL_STATE_RUNNING in states, api.BACKFILL_STATE_PAUSED in states
    return None if is_running == is_paused else is_paused
