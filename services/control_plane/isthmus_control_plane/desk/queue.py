"""The queue as a whole: how deep it is and why, its limits, and what is paused."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from isthmus.v1 import control_plane_pb2 as api
from isthmus_lifecycle.log import get_logger
from isthmus_store import agents, pauses, queue_settings, run_queue
from isthmus_store.deferral import deferred_until, deployment_of
from isthmus_store.queue_line import LineName, Needs
from isthmus_store.queue_settings import NewSettings
from isthmus_store.record.queue import Depth, Pause, PauseKind, PoolUse, QueueSettings
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching import ledger, queue
from isthmus_control_plane.dispatching.block import View, first_block
from isthmus_control_plane.dispatching.ledger import NeedsMemory
from isthmus_control_plane.dispatching.pulse import QueuePulse
from isthmus_control_plane.dispatching.rules import Rules, Slot, configured, pool_limits
from isthmus_control_plane.errors import NotFoundError
from isthmus_control_plane.fleet import world
from isthmus_control_plane.fleet.lookup import no_such_location
from isthmus_control_plane.key import DEFAULT, LocationKey
from isthmus_control_plane.validation import queue as queue_request
from isthmus_control_plane.validation.refusal import refuse
from isthmus_control_plane.validation.suggestion import meant

log = get_logger(__name__)

#: What a run waits for whose line nobody has told yet.
UNSORTED = "it is being put into its line"
#: What retries wait for whose pause is not over.
BACKING_OFF = "back-off before a retry"


@dataclass(frozen=True, slots=True)
class Reason:
    """Runs that wait for the same."""

    text: str
    runs: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class SlotUse:
    """Something limited, and how much of it is taken."""

    slot: Slot
    taken: int
    most: int
    #: Of a pool: steps that wait for a slot.
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class QueueView:
    """A deployment's queue."""

    deployment: str
    reasons: Sequence[Reason]
    slots: Sequence[SlotUse]
    pauses: Sequence[Pause]
    settings: QueueSettings | None
    under_way: int
    left_last_minute: int


class QueueDesk:
    """Shows the queue, limits it, pauses and resumes."""

    def __init__(self, core: Core, *, memory: world.SyncMemory, needs: NeedsMemory, pulse: QueuePulse) -> None:
        self._core = core
        self._memory = memory
        self._needs = needs
        self._pulse = pulse

    async def get(self, request: api.GetQueueRequest) -> QueueView:
        """Return how the queue stands. Costs what waits: for people who look."""
        refuse(queue_request.of_deployment(request.deployment))
        deployment = request.deployment or DEFAULT
        async with self._core.database.read() as tx:
            settings = await queue_settings.get(tx, deployment)
            depths = [it for it in await run_queue.depths(tx) if deployment_of_line(it.line) in {deployment, None}]
            held = [it for it in await run_queue.held(tx) if deployment_of_line(it.line) == deployment]
            books = await ledger.read(tx, self._needs, deployments=[deployment])
            samples = {it.line: it.run_id for it in await run_queue.heads(tx, limit=len(depths) + 1)}
            needs = await self._needs.of(tx, samples, rules=books.rules)
            seen = await world.read(tx, memory=self._memory, at=clock.now(), deployment=deployment)
        view = books.view(seen.fleet)
        return QueueView(
            deployment=deployment,
            reasons=_reasons(depths, needs=needs, view=view),
            slots=_slots([*needs.values(), *books.needs.values()], deployment=deployment, view=view, uses=books.uses),
            pauses=[it for it in books.pauses.values() if it.deployment == deployment],
            settings=settings,
            under_way=sum(it.held for it in held),
            left_last_minute=self._pulse.last_minute,
        )

    async def set(self, request: api.SetQueueSettingsRequest) -> QueueSettings:
        """Replace the limits. Equal ones stay under their revision."""
        refuse(queue_request.set_queue_settings(request))
        deployment = request.deployment or DEFAULT
        new = NewSettings(
            body=request.settings.SerializeToString(deterministic=True),
            is_limiting=Rules.of(request.settings).is_limiting,
            changed_by=request.requested_by,
            changed_at=clock.now(),
        )
        async with self._core.database.write() as tx:
            saved = await queue_settings.save(tx, deployment, new)
        log.info("queue_settings_changed", deployment=deployment, revision=saved.revision, by=saved.changed_by)
        self._core.hub.room_made()
        self._core.hub.timeouts.ring()
        return saved

    async def pause(self, request: api.PauseRequest) -> Pause:
        """Keep runs in the queue until somebody resumes."""
        refuse(queue_request.pause(request))
        wanted = Pause(
            deployment=request.deployment or DEFAULT,
            kind=queue_request.PAUSE_KINDS[request.kind],
            name=request.name,
            paused_by=request.requested_by,
            why=request.why,
            paused_at=clock.now(),
        )
        async with self._core.database.write() as tx:
            await _check_exists(tx, wanted)
            paused = await pauses.pause(tx, wanted)
        log.info("paused", deployment=paused.deployment, kind=paused.kind.value, name=paused.name, by=paused.paused_by)
        self._core.hub.room_made()
        self._core.hub.fleet_changed()
        return paused

    async def resume(self, request: api.ResumeRequest) -> None:
        """Let runs leave the queue again.

        Raises:
            NotFoundError: It is not paused.
        """
        refuse(queue_request.resume(request))
        deployment, kind = request.deployment or DEFAULT, queue_request.PAUSE_KINDS[request.kind]
        async with self._core.database.write() as tx:
            if not await pauses.resume(tx, deployment, kind=kind, name=request.name):
                known = [f"{it.kind.value.lower()} {it.name}".strip() for it in await pauses.all_of(tx)]
                name = f"{kind.value.lower()} {request.name}".strip()
                raise NotFoundError(
                    "pause of", name=name, deployment=deployment, hint=meant(name, known=known), remedy="isthmus queue"
                )
        log.info("resumed", deployment=deployment, kind=kind.value, name=request.name, by=request.requested_by)
        self._core.hub.room_made()
        self._core.hub.fleet_changed()


async def _check_exists(tx: Transaction, wanted: Pause) -> None:
    """Refuse to pause a location or an agent that there is not: nobody would notice the wrong name."""
    if wanted.kind is PauseKind.LOCATION:
        key = LocationKey(wanted.deployment, wanted.name)
        seen = await world.read_location(tx, key, memory=world.SyncMemory(), at=wanted.paused_at)
        if key not in seen.locations:
            raise await no_such_location(tx, key)
    if wanted.kind is PauseKind.AGENT:
        known = [it.name for it in await agents.all_of(tx, deployment=wanted.deployment)]
        if wanted.name not in known:
            hint = meant(wanted.name, known=known)
            raise NotFoundError(
                "agent", name=wanted.name, deployment=wanted.deployment, hint=hint, remedy="isthmus agent list"
            )


def deployment_of_line(line: str) -> str | None:
    """Return the deployment whose runs wait in a line; None for those that are in no line yet."""
    if deferred_until(line) is not None:
        return deployment_of(line)
    name = LineName.parse(line)
    return name.location.deployment if name is not None else None


def _reasons(depths: Iterable[Depth], *, needs: Mapping[str, Needs], view: View) -> list[Reason]:
    """Add up the runs that wait for the same, the most first."""
    counts: Counter[str] = Counter()
    oldest: dict[str, datetime] = {}
    for it in depths:
        text = BACKING_OFF if deferred_until(it.line) is not None else _why(needs.get(it.line), view=view)
        counts[text] += it.waiting
        oldest[text] = min(oldest.get(text, it.queued_at), it.queued_at)
    return [Reason(text, count, oldest[text]) for text, count in counts.most_common()]


def _why(needs: Needs | None, *, view: View) -> str:
    if needs is None:
        return UNSORTED
    first = first_block(needs, view)
    return first.text if first is not None else queue.in_line(needs.location)


def _slots(needs: Iterable[Needs], *, deployment: str, view: View, uses: Iterable[PoolUse]) -> list[SlotUse]:
    """List what is limited: what the settings name, and what runs take or wait for."""
    rules = view.rules.get(deployment)
    if rules is None:
        return []
    limits = {limit.slot: limit.most for limit in configured(rules, deployment=deployment)}
    for it in needs:
        if it.location.deployment == deployment:
            limits |= {limit.slot: limit.most for limit in (*rules.limits_of(it), *pool_limits(it, rules))}
    waiting = {Slot(it.deployment, "pool", it.pool): it.waiting for it in uses}
    return [SlotUse(slot, view.taken[slot], most, waiting.get(slot, 0)) for slot, most in sorted(limits.items())]
