"""The questions that change nothing: each read from one transaction, as the answer's message."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final

from google.protobuf.message import Message
from isthmus.v1 import instance_pb2 as pb
from isthmus.v1.control_plane_pb2 import AssetFreshness
from isthmus.v1.instruction_pb2 import AssetCheckRef
from isthmus.v1.telemetry_pb2 import Event, RunRef
from isthmus_store import asset_freshness, check_index, dynamic_partitions, event_index, events, run_search, runs, wire
from isthmus_store.check_index import CheckQuery
from isthmus_store.event_index import EventQuery, IndexedEvent, PartitionQuery
from isthmus_store.events import RunEventQuery
from isthmus_store.fact import INDEXED_KINDS, asset_key, asset_text
from isthmus_store.run_search import RunSearch
from isthmus_store.state import RunState
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock, message

#: The most rows that one answer carries, whatever was asked for: the asker goes on where it ended.
MAX_ROWS: Final = 1000

_Status = pb.CheckExecutionsQuery.Status


async def latest_events(tx: Transaction, deployment: str, query: pb.LatestEventsQuery) -> pb.StoredEvents:
    """Find the newest event of each kind about each asset."""
    if query.is_all:
        assets = await event_index.assets(tx, deployment=deployment)
    else:
        assets = [asset_text(key.path) for key in query.assets]
    found = await event_index.newest(tx, deployment=deployment, assets=assets, kinds=INDEXED_KINDS & set(query.kinds))
    return pb.StoredEvents(events=[stored_event(it) for it in found])


async def find_events(tx: Transaction, deployment: str, query: pb.EventsQuery) -> pb.StoredEvents:
    """Find events of assets and run states."""
    limit = _rows(query.limit)
    wanted = EventQuery(
        deployment=deployment,
        kinds=INDEXED_KINDS & set(query.kinds),
        asset=asset_text(query.asset.path) if query.HasField("asset") else None,
        partitions=frozenset(query.partitions),
        after_id=query.after_id,
        before_id=query.before_id,
        occurred_after=_moment(query, "occurred_after"),
        occurred_before=_moment(query, "occurred_before"),
        ids=frozenset(query.ids),
        job_names=frozenset(query.job_names),
        limit=limit + 1,
        is_ascending=query.is_ascending,
    )
    found = await event_index.find(tx, wanted)
    # An answer is one message at the broker.
    count = events.fitting([len(it.body) for it in found[:limit]])
    return pb.StoredEvents(events=[stored_event(it) for it in found[:count]], has_more=len(found) > count)


async def partitions(tx: Transaction, deployment: str, query: pb.PartitionsQuery) -> pb.PartitionFacts:
    """Find the newest event of a kind about each partition of an asset."""
    wanted = PartitionQuery(
        deployment=deployment,
        kind=query.kind,
        asset=asset_text(query.asset.path),
        partitions=frozenset(query.partitions),
        after_id=query.after_id,
        before_id=query.before_id,
    )
    found = await event_index.newest_of_partitions(tx, wanted)
    facts = [pb.PartitionFact(partition=it.partition, id=it.id, run_id=it.run_id) for it in found]
    if query.is_with_tags:
        tags = await _tags(tx, deployment, query, ids=[it.id for it in found])
        for fact in facts:
            fact.tags.update(tags.get(fact.id, {}))
    return pb.PartitionFacts(facts=facts)


async def _tags(
    tx: Transaction, deployment: str, query: pb.PartitionsQuery, *, ids: list[int]
) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for start in range(0, len(ids), MAX_ROWS):
        part = frozenset(ids[start : start + MAX_ROWS])
        wanted = EventQuery(deployment=deployment, kinds=frozenset({query.kind}), ids=part, limit=len(part))
        for it in await event_index.find(tx, wanted):
            event = Event.FromString(it.body)
            body = event.asset_observed if event.HasField("asset_observed") else event.asset_materialized
            found[it.id] = dict(body.tags)
    return found


async def asset_keys(tx: Transaction, deployment: str, _: pb.AssetKeysQuery) -> pb.AssetKeys:
    """List every asset of which anything was told."""
    return pb.AssetKeys(keys=[asset_key(text) for text in await event_index.assets(tx, deployment=deployment)])


async def freshness(tx: Transaction, deployment: str, query: pb.FreshnessQuery) -> pb.FreshnessStates:
    """Tell how fresh assets are, as it was told last."""
    found = await freshness_facts(tx, deployment, {asset_text(key.path) for key in query.assets})
    return pb.FreshnessStates(states=found)


async def freshness_facts(tx: Transaction, deployment: str, assets: Collection[str]) -> list[pb.FreshnessFact]:
    """Tell how fresh assets are, as `fact.asset_text` writes them."""
    rows = await asset_freshness.some(tx, deployment=deployment, assets=assets)
    return [
        pb.FreshnessFact(
            asset=asset_key(it.asset),
            state=AssetFreshness.Value(f"ASSET_FRESHNESS_{it.state}"),
            since=clock.stamp(it.changed_at),
        )
        for it in rows.values()
    ]


async def check_executions(tx: Transaction, deployment: str, query: pb.CheckExecutionsQuery) -> pb.CheckExecutions:
    """Find executions of checks, newest first, check by check."""
    limit = _rows(query.limit)
    answer = pb.CheckExecutions()
    for check in query.checks:
        found = await check_index.executions(tx, _check_query(deployment, query, check=check, limit=limit + 1))
        answer.executions.extend(_execution(check, it) for it in found[:limit])
        answer.has_more = answer.has_more or len(found) > limit
    return answer


async def dynamic_partition_keys(
    tx: Transaction, deployment: str, query: pb.DynamicPartitionsQuery
) -> pb.DynamicPartitionKeys:
    """List the keys of dynamic partitions."""
    keys = await dynamic_partitions.keys(tx, deployment=deployment, name=query.name, among=list(query.keys))
    return pb.DynamicPartitionKeys(keys=keys)


async def find_runs(tx: Transaction, deployment: str, query: pb.RunsQuery) -> pb.FoundRuns:
    """Find runs with the tags that they have now, or count them."""
    limit = _rows(query.limit)
    search = _run_search(deployment, query, limit=limit + 1)
    if query.is_count:
        return pb.FoundRuns(count=await run_search.count(tx, search))
    found = await run_search.find(tx, search)
    shown = found[:limit]
    tags = await runs.tags(tx, [run.run_id for run in shown]) if shown else {}
    answers = [
        pb.FoundRun(
            run=message.run(run), tags=tags.get(run.run_id, {}), updated_at=clock.stamp(run_search.updated_at(run))
        )
        for run in shown
    ]
    return pb.FoundRuns(runs=answers, has_more=len(found) > limit)


async def run_events(tx: Transaction, deployment: str, query: pb.RunEventsQuery) -> pb.StoredEvents:
    """Find events of one run; a run of another deployment has none."""
    run = await runs.get(tx, query.run_id)
    if run is None or run.deployment != deployment:
        return pb.StoredEvents()
    wanted = RunEventQuery(
        run_id=query.run_id,
        after_position=query.after_position,
        before_position=query.before_position,
        kinds=frozenset(query.kinds),
        limit=_rows(query.limit),
        is_descending=query.is_descending,
    )
    page = await events.of_run(tx, wanted)
    stored = [
        pb.StoredEvent(id=it.position, job_name=run.job_name, event=_event(it.body, it.run_id, it.attempt))
        for it in page.events
    ]
    return pb.StoredEvents(events=stored, has_more=page.has_more)


async def run_tags(tx: Transaction, deployment: str, query: pb.RunTagsQuery) -> pb.FoundRunTags:
    """List the different tags of the deployment's runs."""
    found = await run_search.tag_values(
        tx,
        deployment=deployment,
        keys=frozenset(query.keys),
        value_prefix=query.value_prefix,
        limit=_rows(query.limit),
    )
    values: dict[str, list[str]] = {}
    for key, value in found:
        values.setdefault(key, []).append(value)
    return pb.FoundRunTags(tags=[pb.TagChoice(key=key, values=them) for key, them in values.items()])


# --------------------------------------------------------------------------------------------------- messages and rows


def _rows(limit: int) -> int:
    return min(limit or MAX_ROWS, MAX_ROWS)


def stored_event(it: IndexedEvent) -> pb.StoredEvent:
    """Return an indexed event as a message."""
    return pb.StoredEvent(id=it.id, job_name=it.job_name, event=_event(it.body, it.run_id, it.attempt))


def _event(body: bytes, run_id: str, attempt: int) -> Event:
    event = Event.FromString(body)
    event.run.CopyFrom(RunRef(run_id=run_id, attempt=attempt))
    return event


def _check_query(deployment: str, query: pb.CheckExecutionsQuery, *, check: AssetCheckRef, limit: int) -> CheckQuery:
    return CheckQuery(
        deployment=deployment,
        asset=asset_text(check.asset.path),
        check_name=check.check_name,
        outcomes=frozenset(_outcome(it) for it in query.statuses),
        partition=query.partition if query.HasField("partition") else None,
        before_id=query.before_id,
        limit=limit,
    )


def _outcome(number: int) -> str:
    """Return a status as the index has it; one that a newer code server knows is a word that the index does not have."""
    known = _Status.DESCRIPTOR.values_by_number.get(number)
    return known.name.removeprefix("STATUS_") if known is not None else str(number)


def _execution(check: AssetCheckRef, it: check_index.CheckExecution) -> pb.CheckExecution:
    event = pb.StoredEvent(id=it.id, job_name=it.job_name, event=_event(it.body, it.run_id, it.attempt))
    return pb.CheckExecution(check=check, id=it.id, status=_Status.Value(f"STATUS_{it.outcome}"), event=event)


def _run_search(deployment: str, query: pb.RunsQuery, *, limit: int) -> RunSearch:
    return RunSearch(
        deployment=deployment,
        run_ids=frozenset(query.run_ids),
        job_name=query.job_name,
        states=_states(query.states),
        tags={choice.key: frozenset(choice.values) for choice in query.tags},
        created_after=_moment(query, "created_after"),
        created_before=_moment(query, "created_before"),
        updated_after=_moment(query, "updated_after"),
        updated_before=_moment(query, "updated_before"),
        after_run_id=query.after_run_id,
        limit=limit,
        is_ascending=query.is_ascending,
        is_by_update=query.is_by_update,
    )


def _states(numbers: Iterable[int]) -> frozenset[RunState]:
    return frozenset(wire.RUN_STATES.from_wire(it, otherwise=RunState.QUEUED) for it in numbers)


def _moment(query: Message, name: str) -> datetime | None:
    return clock.moment(getattr(query, name)) if query.HasField(name) else None
