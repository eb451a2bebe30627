"""What lasts at a moment, or has taken long, as facts: out of rows that others keep."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from isthmus.v1.telemetry_pb2 import Failure
from isthmus_store import agents, alert_looks, backfills, instigators, placements, run_queue, runs, ticks
from isthmus_store.address import parse_address
from isthmus_store.record.run import Run
from isthmus_store.state import AgentState, InstigatorKind, LocationPhase, TickStatus
from isthmus_store.transaction import Transaction
from isthmus_store.wire import storable

from isthmus_control_plane.alerting.fact import Fact
from isthmus_control_plane.alerting.policy import Policy
from isthmus_control_plane.catalog.faring import AssetView
from isthmus_control_plane.catalog.freshness import FreshnessState
from isthmus_control_plane.catalog.status import Health
from isthmus_control_plane.desk.queue import deployment_of_line
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_control_plane.validation import alert_kind as kinds

#: How much older than it may be the oldest run is before that is told.
_BEHIND: Final = timedelta(days=1)
#: Dead letters that are older than this are no news.
_LETTERS_SINCE: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What is looked at, by whom, and when."""

    tx: Transaction
    policies: Sequence[Policy]
    settings: ControlPlaneSettings
    now: datetime

    def wanting(self, kind: str) -> list[Policy]:
        """Return the policies that want a kind."""
        return [it for it in self.policies if kind in it.kinds]


async def read(look: Look) -> dict[str, list[Fact]]:
    """Return what lasts or has taken long, by kind: of each kind that somebody wants, assets aside."""
    wanted = {kind for policy in look.policies for kind in policy.kinds} & set(_READERS)
    return {kind: await _READERS[kind](look) for kind in sorted(wanted)}


async def _agents_lost(look: Look) -> list[Fact]:
    return [
        Fact(
            kind=kinds.AGENT_LOST,
            deployment=it.deployment,
            subject=it.name,
            topic=f"Agent {it.name} is lost",
            text=f"It was heard last at {it.last_heard_at:%Y-%m-%d %H:%M:%S} UTC." if it.last_heard_at else "",
            at=look.now,
            agent=it.name,
            data={"agent": it.name, "pool": it.pool, "active_runs": [ref.run_id for ref in it.active_runs]},
        )
        for it in await agents.all_of(look.tx)
        if it.state is AgentState.LOST
    ]


async def _locations_failed(look: Look) -> list[Fact]:
    return [
        Fact(
            kind=kinds.LOCATION_FAILED,
            deployment=it.deployment,
            subject=f"{it.location}/{it.agent}",
            topic=f"Location {it.location} does not load on agent {it.agent}",
            text=_summary(it.failure),
            at=look.now,
            location=it.location,
            agent=it.agent,
            data={"location": it.location, "agent": it.agent, "generation": it.generation},
        )
        for it in await placements.all_of(look.tx)
        if it.phase is LocationPhase.FAILED
    ]


async def _queues(look: Look) -> list[Fact]:
    depths: Counter[str] = Counter()
    for it in await run_queue.depths(look.tx):
        depths[deployment_of_line(it.line) or "default"] += it.waiting
    return [
        Fact(
            kind=kinds.QUEUE_DEEP,
            deployment=deployment,
            subject="queue",
            topic="Many runs wait in the queue",
            text=f"{depth} runs wait.",
            at=look.now,
            value=depth,
            data={"depth": depth},
        )
        for deployment, depth in depths.items()
    ]


async def _long_waits(look: Look) -> list[Fact]:
    least = min(it.longer_than_s for it in look.wanting(kinds.RUN_WAITING))
    found = await alert_looks.waiting(look.tx, queued_before=look.now - timedelta(seconds=least))
    return await _slow(look, found, kind=kinds.RUN_WAITING, verb="waits for long", since=lambda it: it.queued_at)


async def _long_runs(look: Look) -> list[Fact]:
    least = min(it.longer_than_s for it in look.wanting(kinds.RUN_LONG))
    found = await alert_looks.running(look.tx, started_before=look.now - timedelta(seconds=least))
    return await _slow(look, found, kind=kinds.RUN_LONG, verb="runs for long", since=lambda it: it.started_at)


async def _slow(
    look: Look, found: Iterable[Run], *, kind: str, verb: str, since: Callable[[Run], datetime | None]
) -> list[Fact]:
    known = list(found)
    tags = await runs.tags(look.tx, [it.run_id for it in known])
    facts = []
    for it in known:
        took = look.now - (since(it) or look.now)
        facts.append(
            Fact(
                kind=kind,
                deployment=it.deployment,
                subject=f"{it.location}/{it.job_name}",
                occasion=f"{it.run_id}/{it.attempt}",
                topic=f"Job {it.job_name} of {it.location} {verb}",
                text=f"Run {it.run_id}, for {str(took).partition('.')[0]} by now.",
                at=look.now,
                location=it.location,
                job=it.job_name,
                tags=tags.get(it.run_id, {}),
                value=took.total_seconds(),
                data={"run_id": it.run_id, "location": it.location, "job_name": it.job_name, "agent": it.agent},
            )
        )
    return facts


async def _letters(look: Look) -> list[Fact]:
    return [
        Fact(
            kind=kinds.DEAD_LETTERS,
            deployment=policy.deployment,
            subject="dead letters",
            occasion=str(it.id),
            topic="A message could not be used by anybody",
            text=f"{it.queue}: {it.reason}",
            at=it.received_at,
            data={"id": it.id, "queue": it.queue, "reason": it.reason},
        )
        for policy in _one_per_deployment(look.wanting(kinds.DEAD_LETTERS))
        for it in await alert_looks.letters(look.tx, received_after=look.now - _LETTERS_SINCE)
    ]


async def _retention(look: Look) -> list[Fact]:
    oldest = await alert_looks.oldest_end(look.tx)
    days = look.settings.keep_runs_days
    if not days or oldest is None or oldest > look.now - timedelta(days=days) - _BEHIND:
        return []
    return [
        Fact(
            kind=kinds.RETENTION_BEHIND,
            deployment=policy.deployment,
            subject="retention",
            topic="What is old is not removed",
            text=f"A run that ended at {oldest:%Y-%m-%d %H:%M} UTC is still there; runs are kept for {days:g} days.",
            at=look.now,
            data={"oldest": oldest.isoformat(), "keep_runs_days": days},
        )
        for policy in _one_per_deployment(look.wanting(kinds.RETENTION_BEHIND))
    ]


async def _disk(look: Look) -> list[Fact]:
    url = parse_address(look.settings.database_url)
    folder = Path(str(url.database)).parent if url.drivername.startswith("sqlite") else Path("/")
    usage = await asyncio.to_thread(shutil.disk_usage, folder)
    free = 100.0 * usage.free / usage.total
    return [
        Fact(
            kind=kinds.DISK_LOW,
            deployment=policy.deployment,
            subject="disk",
            topic="The control plane's disk is nearly full",
            text=f"{free:.1f} % are free, {usage.free // 2**20:,} MiB.",
            at=look.now,
            value=free,
            data={"free_bytes": usage.free, "free_percent": round(free, 2)},
        )
        for policy in _one_per_deployment(look.wanting(kinds.DISK_LOW))
    ]


async def _stalled(look: Look) -> list[Fact]:
    """Find backfills that are to make runs or wait for some, and of which nothing was decided for long."""
    facts = []
    for it in await backfills.unfinished(look.tx):
        if it.paused_at is not None:
            continue
        newest = await backfills.decisions(look.tx, it.id, limit=1)
        since = newest[0].at if newest else it.created_at
        stood = look.now - since
        facts.append(
            Fact(
                kind=kinds.BACKFILL_STALLED,
                deployment=it.deployment,
                subject=it.backfill_id,
                topic=f"Backfill {it.backfill_id} stands still",
                text=f"Nothing came of it for {str(stood).partition('.')[0]}: isthmus backfill show {it.backfill_id}",
                at=look.now,
                location=it.location,
                job=it.job_name,
                value=stood.total_seconds(),
                data={"backfill_id": it.backfill_id, "location": it.location, "job_name": it.job_name},
            )
        )
    return facts


async def _failing_schedules(look: Look) -> list[Fact]:
    return await _failing(look, InstigatorKind.SCHEDULE, kind=kinds.SCHEDULE_FAILED)


async def _failing_sensors(look: Look) -> list[Fact]:
    return await _failing(look, InstigatorKind.SENSOR, kind=kinds.SENSOR_FAILED)


async def _failing(look: Look, instigator: InstigatorKind, *, kind: str) -> list[Fact]:
    known = {it.id: it for it in await instigators.all_of(look.tx, kind=instigator) if it.is_running}
    newest = await ticks.newest(look.tx, known)
    depth = max(it.after for it in look.wanting(kind))
    facts = []
    for number, tick in newest.items():
        if tick.status not in (TickStatus.FAILED, TickStatus.STARTED):
            continue
        ended = await ticks.page(look.tx, number, limit=depth, statuses=_ENDED)
        failed = next((count for count, it in enumerate(ended) if it.status is not TickStatus.FAILED), len(ended))
        if not failed:
            continue
        it, word = known[number], instigator.value.lower()
        facts.append(
            Fact(
                kind=kind,
                deployment=it.deployment,
                subject=f"{it.location}/{it.name}",
                topic=f"{word.capitalize()} {it.name} of {it.location} fails",
                text=_summary(ended[0].failure),
                at=look.now,
                location=it.location,
                schedule=it.name if instigator is InstigatorKind.SCHEDULE else "",
                sensor=it.name if instigator is InstigatorKind.SENSOR else "",
                value=failed,
                data={word: it.name, "location": it.location, "tick": ended[0].at.isoformat(), "in_a_row": failed},
            )
        )
    return facts


_ENDED: Final = (TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILED)


def of_assets(views: Iterable[AssetView], *, now: datetime) -> dict[str, list[Fact]]:
    """Return what lasts of assets, by kind."""
    found: dict[str, list[Fact]] = {kind: [] for kind in ASSET_KINDS}
    for view in views:
        if view.status.freshness is FreshnessState.FAILING:
            found[kinds.FRESHNESS_FAILED].append(_of_asset(view, kinds.FRESHNESS_FAILED, "is too old", now=now))
        elif view.status.freshness is FreshnessState.WARNING:
            found[kinds.FRESHNESS_WARNED].append(_of_asset(view, kinds.FRESHNESS_WARNED, "grows old", now=now))
        if view.status.health is Health.DEGRADED:
            found[kinds.ASSET_DEGRADED].append(_of_asset(view, kinds.ASSET_DEGRADED, "is degraded", now=now))
    return found


def _of_asset(view: AssetView, kind: str, what: str, *, now: datetime) -> Fact:
    name, made = storable("/".join(view.asset.path)), view.status.materialization
    at = made.occurred_at.isoformat() if made is not None else None
    return Fact(
        kind=kind,
        deployment=view.deployment,
        subject=name,
        topic=f"Asset {name} {what}",
        text=f"It was materialized last at {made.occurred_at:%Y-%m-%d %H:%M} UTC." if made is not None else "",
        at=now,
        location=view.asset.location,
        asset=view.asset.path,
        data={"asset": name, "location": view.asset.location, "last_materialization": at},
    )


#: The kinds whose facts the catalog has.
ASSET_KINDS: Final = frozenset({kinds.FRESHNESS_FAILED, kinds.FRESHNESS_WARNED, kinds.ASSET_DEGRADED})
_READERS: Final[Mapping[str, Callable[[Look], Awaitable[list[Fact]]]]] = {
    kinds.AGENT_LOST: _agents_lost,
    kinds.LOCATION_FAILED: _locations_failed,
    kinds.QUEUE_DEEP: _queues,
    kinds.RUN_WAITING: _long_waits,
    kinds.RUN_LONG: _long_runs,
    kinds.DEAD_LETTERS: _letters,
    kinds.RETENTION_BEHIND: _retention,
    kinds.DISK_LOW: _disk,
    kinds.BACKFILL_STALLED: _stalled,
    kinds.SCHEDULE_FAILED: _failing_schedules,
    kinds.SENSOR_FAILED: _failing_sensors,
}


def _one_per_deployment(policies: Collection[Policy]) -> list[Policy]:
    return list({it.deployment: it for it in policies}.values())


def _summary(failure: bytes) -> str:
    said = Failure.FromString(failure)
    first = said.message.strip().partition("\n")[0]
    return ": ".join(filter(None, (said.error_class, first)))
