"""What is known of many assets at one moment: one answer in place of the hundreds of questions of an evaluation."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from isthmus.v1 import instance_pb2 as pb
from isthmus.v1.instruction_pb2 import AssetCheckRef, RunRequest
from isthmus.v1.telemetry_pb2 import Event
from isthmus_store import asset_facts, dynamic_partitions, event_index
from isthmus_store.asset_facts import CheckRow, PartitionRow, UnfinishedRun
from isthmus_store.event_index import EventQuery, IndexedEvent
from isthmus_store.fact import CHECK_EVALUATED, CHECK_PLANNED, asset_key, asset_text
from isthmus_store.transaction import Transaction

from isthmus_control_plane.core import Core
from isthmus_control_plane.instance import lookup
from isthmus_control_plane.instance.lookup import MAX_ROWS
from isthmus_control_plane.instance.namespace import jobs_of

#: Partitions that one answer tells of. Of an asset that would bring more, they are asked for by themselves.
MAX_PARTITIONS: Final = 200_000
#: Runs that are looked through for what they are about to make. Those before them began long ago, and say so themselves.
_MOST_UNFINISHED: Final = 10_000
_KINDS: Final = frozenset({"asset_materialized", "asset_observed"})
_Status = pb.CheckExecutionsQuery


@dataclass(frozen=True, slots=True)
class Plan:
    """What plans to make an asset or a partition: an event's id, and the run."""

    id: int
    run_id: str


#: By asset and partition; the partition of an asset as a whole is empty.
Plans = Mapping[tuple[str, str], Plan]


async def find(tx: Transaction, deployment: str, query: pb.AssetFactsQuery, *, core: Core) -> pb.AssetFacts:
    """Tell what is known of assets and checks, all at the same moment. To be asked first in a transaction.

    The transaction must have begun with `event_numbers.hold_still`.
    """
    answer = pb.AssetFacts(newest_id=await event_index.newest_id(tx))
    names = {asset_text(key.path) for key in query.assets}
    partitioned = {asset_text(key.path) for key in query.partitioned} & names
    waiting = await _waiting(tx, deployment, core=core) if names else {}
    whole, left_out = await _fitting(tx, deployment, partitioned)
    rows = await asset_facts.partitions(tx, deployment=deployment, assets=names - partitioned, is_any_plan=True)
    rows += await asset_facts.newest_of(tx, deployment=deployment, assets=left_out)
    columns = await asset_facts.partitions(tx, deployment=deployment, assets=whole, is_any_plan=False)
    facts = _facts([*rows, *columns], waiting=waiting, names=names)
    _tell_partitions(facts, columns, whole=whole, waiting=waiting)
    await _tell_events(tx, deployment, facts)
    answer.assets.extend(facts[name] for name in sorted(facts))
    answer.checks.extend(await _checks(tx, deployment, query.checks))
    answer.runs.extend(await _runs(tx, deployment, answer))
    answer.freshness.extend(await lookup.freshness_facts(tx, deployment, names))
    for name in query.dynamic_partitions:
        keys = await dynamic_partitions.keys(tx, deployment=deployment, name=name)
        answer.dynamic_partitions.add(name=name, keys=keys)
    return answer


# ---------------------------------------------------------------------------------------------------------------- plans


async def _waiting(tx: Transaction, deployment: str, *, core: Core) -> Plans:
    """Return what runs that have not ended are to make.

    A run says so itself once it begins. Until then its request tells: who decides must not ask for the same again.
    """
    found = await asset_facts.unfinished(tx, deployment=deployment, limit=_MOST_UNFINISHED)
    assets: dict[tuple[str, str], frozenset[str]] = {}
    for location in {it.location for it in found}:
        jobs = await jobs_of(tx, deployment, location, core=core)
        assets |= {(location, name): frozenset(map(asset_text, job.assets)) for name, job in jobs.items()}
    return plans_of(found, assets_of_jobs=assets)


def plans_of(
    unfinished: Iterable[UnfinishedRun], *, assets_of_jobs: Mapping[tuple[str, str], frozenset[str]]
) -> dict[tuple[str, str], Plan]:
    """Return the newest plan for each asset and partition that runs were asked to make. Pure.

    Args:
        unfinished: The runs.
        assets_of_jobs: By location and job: what the job makes where nothing is selected.
    """
    plans: dict[tuple[str, str], Plan] = {}
    for run in unfinished:
        request = RunRequest.FromString(run.request)
        chosen = {asset_text(key.path) for key in request.asset_selection}
        if not chosen and not request.check_selection and not request.op_selection:
            chosen = set(assets_of_jobs.get((run.location, run.job_name), ()))
        plan = Plan(run.queued_id, run.run_id)
        for asset in chosen:
            key = (asset, request.partition_key)
            if key not in plans or plans[key].id < plan.id:
                plans[key] = plan
    return plans


def _newer(stored: Plan | None, waiting: Plan | None) -> Plan | None:
    if stored is None or waiting is None:
        return stored or waiting
    return max(stored, waiting, key=lambda plan: plan.id)


# --------------------------------------------------------------------------------------------------------------- assets


async def _fitting(tx: Transaction, deployment: str, assets: Collection[str]) -> tuple[set[str], set[str]]:
    """Return of which assets the partitions are told, the smaller ones first, and of which not."""
    found = await asset_facts.counts(tx, deployment=deployment, assets=assets)
    whole, left = set(assets) - found.keys(), MAX_PARTITIONS
    for name in sorted(found, key=lambda name: (found[name], name)):
        left -= found[name]
        if left >= 0:
            whole.add(name)
    return whole, set(assets) - whole


def _facts(rows: Sequence[PartitionRow], *, waiting: Plans, names: Collection[str]) -> dict[str, pb.AssetFact]:
    """Put together the rows of each asset: the newest of all of its partitions."""
    facts: dict[str, pb.AssetFact] = {}
    for row in rows:
        fact = facts.setdefault(row.asset, pb.AssetFact(asset=asset_key(row.asset)))
        fact.materialized.id = max(fact.materialized.id, row.materialized_id)
        fact.observed.id = max(fact.observed.id, row.observed_id)
    made = {asset: fact.materialized.id for asset, fact in facts.items()}
    open_plans = {key: plan for key, plan in waiting.items() if plan.id > made.get(key[0], 0)}
    for asset, plan in _newest_plans(rows, waiting=open_plans).items():
        if asset in names:
            fact = facts.setdefault(asset, pb.AssetFact(asset=asset_key(asset)))
            fact.plan.id, fact.plan.run_id = plan.id, plan.run_id
    return facts


def _newest_plans(rows: Iterable[PartitionRow], *, waiting: Plans) -> dict[str, Plan]:
    plans: dict[str, Plan] = {}
    stored = ((row.asset, Plan(row.planned_id, row.plan_run_id)) for row in rows if row.plan_run_id)
    for asset, plan in (*stored, *((asset, plan) for (asset, _), plan in waiting.items())):
        plans[asset] = _newer(plans.get(asset), plan) or plan
    return plans


def _tell_partitions(
    facts: dict[str, pb.AssetFact], rows: Iterable[PartitionRow], *, whole: Collection[str], waiting: Plans
) -> None:
    for asset in whole:
        facts.setdefault(asset, pb.AssetFact(asset=asset_key(asset))).partitions.SetInParent()
    stored: dict[tuple[str, str], Plan] = {}
    made: dict[tuple[str, str], int] = {}
    for row in rows:
        if not row.partition:
            continue
        made[row.asset, row.partition] = row.materialized_id
        columns = facts[row.asset].partitions
        columns.keys.append(row.partition)
        columns.materialized_ids.append(row.materialized_id)
        columns.observed_ids.append(row.observed_id)
        if row.plan_run_id:
            stored[row.asset, row.partition] = Plan(row.planned_id, row.plan_run_id)
    # What a run made, or another after it was asked for, is no plan any more.
    open_plans = {key: plan for key, plan in waiting.items() if plan.id > made.get(key, 0)}
    for asset, partition in sorted({*stored, *open_plans}):
        plan = _newer(stored.get((asset, partition)), open_plans.get((asset, partition)))
        if asset in whole and partition and plan is not None:
            told = facts[asset].partitions.plans.add(partition=partition)
            told.plan.id, told.plan.run_id = plan.id, plan.run_id


async def _tell_events(tx: Transaction, deployment: str, facts: Mapping[str, pb.AssetFact]) -> None:
    """Put the events in the place of their ids, without what only people read of them."""
    wanted = {told.id for fact in facts.values() for told in (fact.materialized, fact.observed)} - {0}
    found = await _events(tx, deployment, wanted, kinds=_KINDS)
    for fact in facts.values():
        for name in ("materialized", "observed"):
            event = found.get(getattr(fact, name).id)
            if event is None:
                fact.ClearField(name)
            else:
                getattr(fact, name).CopyFrom(_slim(event))


def _slim(it: IndexedEvent) -> pb.StoredEvent:
    told = lookup.stored_event(it)
    event = told.event
    body = event.asset_observed if event.HasField("asset_observed") else event.asset_materialized
    body.ClearField("metadata")
    body.ClearField("description")
    event.ClearField("message")
    event.ClearField("cuts")
    return told


async def _events(
    tx: Transaction, deployment: str, ids: Collection[int], *, kinds: frozenset[str]
) -> dict[int, IndexedEvent]:
    found: dict[int, IndexedEvent] = {}
    wanted = sorted(ids)
    for start in range(0, len(wanted), MAX_ROWS):
        part = frozenset(wanted[start : start + MAX_ROWS])
        query = EventQuery(deployment=deployment, kinds=kinds, ids=part, limit=len(part))
        found |= {it.id: it for it in await event_index.find(tx, query)}
    return found


# --------------------------------------------------------------------------------------------------------- checks, runs


async def _checks(tx: Transaction, deployment: str, wanted: Iterable[AssetCheckRef]) -> list[pb.CheckExecution]:
    by_name = {(asset_text(it.asset.path), it.check_name): it for it in wanted}
    rows = await asset_facts.checks(tx, deployment=deployment, assets={asset for asset, _ in by_name})
    rows = [row for row in rows if (row.asset, row.check_name) in by_name]
    ids = {number for row in rows for number in _executions(row)}
    found = await _events(tx, deployment, ids, kinds=frozenset({CHECK_EVALUATED, CHECK_PLANNED}))
    return [
        _execution(by_name[row.asset, row.check_name], found[number])
        for row in rows
        for number in _executions(row)
        if number in found
    ]


def _executions(row: CheckRow) -> list[int]:
    """Return the events of a check's newest executions: of the newest, and of the newest that came to its end."""
    newest = [row.planned_id] if row.planned_id > row.evaluated_id else []
    return newest + ([row.evaluated_id] if row.evaluated_id else [])


def _execution(check: AssetCheckRef, it: IndexedEvent) -> pb.CheckExecution:
    told = lookup.stored_event(it)
    return pb.CheckExecution(check=check, id=it.id, status=_status(told.event), event=told)


def _status(event: Event) -> "pb.CheckExecutionsQuery.Status.ValueType":
    if not event.HasField("asset_check_evaluated"):
        return _Status.STATUS_PLANNED
    return _Status.STATUS_SUCCEEDED if event.asset_check_evaluated.is_passed else _Status.STATUS_FAILED


async def _runs(tx: Transaction, deployment: str, answer: pb.AssetFacts) -> list[pb.FoundRun]:
    """Return the runs that plans belong to, the newest first, as many as fit."""
    plans = [fact.plan for fact in answer.assets if fact.HasField("plan")]
    plans += [it.plan for fact in answer.assets for it in fact.partitions.plans]
    checks = [it.event.event.run.run_id for it in answer.checks if it.status == _Status.STATUS_PLANNED]
    wanted = [plan.run_id for plan in sorted(plans, key=lambda plan: plan.id, reverse=True)]
    ids = list(dict.fromkeys(run_id for run_id in [*wanted, *checks] if run_id))[:MAX_ROWS]
    if not ids:
        return []
    return list((await lookup.find_runs(tx, deployment, pb.RunsQuery(run_ids=ids))).runs)
