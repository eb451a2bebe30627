"""What happened, as facts: out of events of the index, and of the runs that they are about."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from isthmus.v1.telemetry_pb2 import AssetKey, CheckSeverity, Event
from isthmus_store import event_index, runs
from isthmus_store.event_index import EventQuery, IndexedEvent, News
from isthmus_store.record.run import Run
from isthmus_store.state import RunState
from isthmus_store.transaction import Transaction
from isthmus_store.wire import storable

from isthmus_control_plane import clock
from isthmus_control_plane.alerting.fact import Fact
from isthmus_control_plane.validation import alert_kind as kinds

#: Which events show which kinds.
SHOWN_BY: Final[Mapping[str, frozenset[str]]] = {
    "run_failed": frozenset({kinds.RUN_FAILED}),
    "run_succeeded": frozenset({kinds.RUN_SUCCEEDED}),
    "run_canceled": frozenset({kinds.RUN_CANCELED}),
    "asset_materialized": frozenset({kinds.ASSET_MATERIALIZED}),
    "asset_failed": frozenset({kinds.ASSET_FAILED}),
    "asset_check_evaluated": frozenset({kinds.CHECK_FAILED, kinds.CHECK_WARNED, kinds.CHECK_PASSED}),
}
#: The state in which a run is that an event is true of.
_STATES: Final = {
    "run_failed": (RunState.FAILED, kinds.RUN_FAILED, "failed"),
    "run_succeeded": (RunState.SUCCEEDED, kinds.RUN_SUCCEEDED, "succeeded"),
    "run_canceled": (RunState.CANCELED, kinds.RUN_CANCELED, "was canceled"),
}


def shown_by(wanted: Collection[str]) -> frozenset[str]:
    """Return the kinds of events in which kinds of alerts, and their ends, show."""
    looked_for = set(wanted) | {kinds.KINDS[it].over for it in wanted}
    return frozenset(event for event, shown in SHOWN_BY.items() if shown & looked_for)


async def facts_of(tx: Transaction, news: Iterable[News]) -> list[Fact]:
    """Return what events tell, in their order."""
    ids: dict[str, set[int]] = {}
    for it in news:
        ids.setdefault(it.deployment, set()).add(it.id)
    found: list[Fact] = []
    for deployment, numbers in ids.items():
        query = EventQuery(
            deployment=deployment,
            kinds=frozenset(SHOWN_BY),
            ids=frozenset(numbers),
            limit=len(numbers),
            is_ascending=True,
        )
        events = await event_index.find(tx, query)
        run_ids = {it.run_id for it in events if it.run_id}
        known, tags = await runs.get_many(tx, run_ids), await runs.tags(tx, run_ids)
        for event in events:
            run = known.get(event.run_id)
            fact = fact_of(event, deployment=deployment, run=run, tags=tags.get(event.run_id, {}))
            if fact is not None:
                found.append(fact)
    return found


def fact_of(event: IndexedEvent, *, deployment: str, run: Run | None, tags: Mapping[str, str]) -> Fact | None:
    """Return what an event tells; None for nothing, as of a run that failed and is done again."""
    body = Event.FromString(event.body)
    if event.kind in _STATES:
        return _of_run(event.kind, body, run=run, tags=tags) if run is not None else None
    location = run.location if run is not None else ""
    if event.kind == "asset_check_evaluated":
        return _of_check(body, event=event, deployment=deployment, location=location)
    said = body.asset_materialized if event.kind == "asset_materialized" else body.asset_failed
    is_made = event.kind == "asset_materialized"
    name = storable("/".join(said.asset.path))
    data = {"asset": name, "partition": said.partition, **_run_data(event), "location": location}
    return Fact(
        kind=kinds.ASSET_MATERIALIZED if is_made else kinds.ASSET_FAILED,
        deployment=deployment,
        subject=name,
        occasion=str(event.id),
        topic=f"Asset {name} {'was materialized' if is_made else 'failed'}",
        text=_where(event, partition=said.partition),
        at=clock.moment(body.occurred_at),
        location=location,
        asset=tuple(said.asset.path),
        data=data,
    )


def _of_run(kind: str, body: Event, *, run: Run, tags: Mapping[str, str]) -> Fact | None:
    state, alert, verb = _STATES[kind]
    if run.state is not state or (state is RunState.FAILED and run.retried_by is not None):
        return None
    data = {
        "run_id": run.run_id,
        "attempt": run.attempt,
        "location": run.location,
        "job_name": run.job_name,
        "agent": run.agent,
        "reason": str(run.reason),
        "message": run.message,
    }
    return Fact(
        kind=alert,
        deployment=run.deployment,
        subject=f"{run.location}/{run.job_name}",
        occasion=f"{run.run_id}/{run.attempt}",
        topic=f"Job {run.job_name} of {run.location} {verb}",
        text=f"Run {run.run_id}{f': {run.message}' if run.message else ''}",
        at=clock.moment(body.occurred_at),
        location=run.location,
        job=run.job_name,
        agent=run.agent,
        tags=tags,
        data=data,
    )


def _of_check(body: Event, *, event: IndexedEvent, deployment: str, location: str) -> Fact:
    said = body.asset_check_evaluated
    asset = storable("/".join(said.asset.path))
    is_warning = said.severity == CheckSeverity.CHECK_SEVERITY_WARN
    failed = kinds.CHECK_WARNED if is_warning else kinds.CHECK_FAILED
    data = {"asset": asset, "check": said.check_name, "partition": said.partition, **_run_data(event)}
    return Fact(
        kind=kinds.CHECK_PASSED if said.is_passed else failed,
        deployment=deployment,
        subject=storable(f"{asset} {said.check_name}"),
        occasion=str(event.id),
        topic=f"Check {said.check_name} of asset {asset} {'passed' if said.is_passed else 'did not pass'}",
        text=_where(event, partition=said.partition),
        at=clock.moment(body.occurred_at),
        location=location,
        asset=_path(said.asset),
        data={**data, "location": location},
    )


def _path(key: AssetKey) -> tuple[str, ...]:
    return tuple(key.path)


def _run_data(event: IndexedEvent) -> dict[str, object]:
    return {"run_id": event.run_id, "job_name": event.job_name or ""}


def _where(event: IndexedEvent, *, partition: str) -> str:
    parts = [f"partition {partition}"] if partition else []
    return ", ".join([*parts, *([f"run {event.run_id}"] if event.run_id else [])])
