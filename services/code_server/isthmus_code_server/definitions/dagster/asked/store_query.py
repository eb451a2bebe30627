"""Questions to the control plane's store in Dagster's terms, asked page by page."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dagster._core.definitions.events import AssetKey
from dagster._core.event_api import EventLogRecord, EventRecordsFilter
from dagster._core.events import DagsterEventType
from dagster._core.events.log import EventLogEntry
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1 import instance_pb2 as pb

from isthmus_code_server.definitions.dagster.asked.asking import is_check_asking, is_on_own_account
from isthmus_code_server.definitions.dagster.asked.asset_facts import AssetFacts
from isthmus_code_server.definitions.dagster.asked.rebuild import entry_of, kind_of
from isthmus_code_server.definitions.dagster.asked.rebuild_metadata import key_of
from isthmus_code_server.definitions.dagster.asked.wanted_changes import ChangeRecord
from isthmus_code_server.definitions.dagster.values.metadata import asset_key as path_of
from isthmus_code_server.definitions.dagster.values.translation import translate
from isthmus_code_server.definitions.instance_client import InstanceClient
from isthmus_code_server.errors import InstanceUnavailableError, UnsupportedInstanceCallError

_NOTHING = pb.InstanceAnswer()
#: What may be told of an asset without a run: names of Event's bodies.
_RUNLESS = frozenset({"asset_materialized", "asset_observed", "asset_check_evaluated"})


@dataclass(frozen=True, slots=True)
class PartitionSearch:
    """Which events of an asset's partitions are asked for."""

    kind: str
    #: These partitions; None for all.
    among: Iterable[str] | None = None
    #: Exclusive ids of events.
    after: int | None = None
    before: int | None = None
    is_with_tags: bool = False


@dataclass(frozen=True, kw_only=True)
class EventSearch:
    """Events of one type over all runs, as Dagster's filters ask for them."""

    filter: EventRecordsFilter
    is_ascending: bool
    job_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, wanted: EventRecordsFilter, *, is_ascending: bool, job_names: Sequence[str] = ()) -> "EventSearch":
        """Take Dagster's filter."""
        return cls(filter=wanted, is_ascending=is_ascending, job_names=tuple(job_names))

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be found: ids begin at 1."""
        before = _id(self.filter.before_cursor)
        return (before is not None and before <= 1) or self.filter.storage_ids == []

    def query(self, *, beyond: int, limit: int) -> pb.EventsQuery:
        """Return the question for the next page, after or before the event `beyond`; 0 for the first page."""
        wanted = self.filter
        after, before = max(_id(wanted.after_cursor) or 0, 0), _id(wanted.before_cursor) or 0
        if beyond:
            after, before = (beyond, before) if self.is_ascending else (after, beyond)
        return pb.EventsQuery(
            kinds=[kind_of(wanted.event_type)],
            asset=path_of(wanted.asset_key) if wanted.asset_key is not None else None,
            partitions=wanted.asset_partitions or (),
            after_id=after,
            before_id=before,
            occurred_after=_stamp(wanted.after_timestamp),
            occurred_before=_stamp(wanted.before_timestamp),
            ids=wanted.storage_ids or (),
            job_names=self.job_names,
            limit=limit,
            is_ascending=self.is_ascending,
        )


@dataclass(kw_only=True)
class StoreQuery:
    """Asks, and rebuilds what comes.

    Every call raises what `InstanceClient.ask` raises; only what Dagster asks on its own account is answered with
    nothing when nobody answers.
    """

    client: InstanceClient
    #: While a schedule or a sensor is evaluated: takes what is wanted changed, in place of the control plane.
    record: ChangeRecord | None = None
    #: While automation is evaluated: what was told at the beginning.
    facts: AssetFacts | None = None

    def latest_events(
        self, keys: Sequence[AssetKey] | None, *, kinds: Sequence[str]
    ) -> dict[AssetKey, list[EventLogRecord]]:
        """Return the newest event of each kind about each asset; None for every asset. What has none is left out."""
        query = pb.LatestEventsQuery(kinds=kinds, is_all=keys is None, assets=[path_of(key) for key in keys or ()])
        answer = self._ask(pb.InstanceQuery(latest_events=query), what=f"the latest events of {_named(keys)}")
        found: dict[AssetKey, list[EventLogRecord]] = {}
        for stored in answer.events.events:
            found.setdefault(_asset_of(stored), []).append(record_of(stored))
        return found

    def asset_keys(self) -> list[AssetKey]:
        """Return every asset that a run touched."""
        answer = self._ask(pb.InstanceQuery(asset_keys=pb.AssetKeysQuery()), what="the keys of all assets")
        return [key_of(path) for path in answer.asset_keys.keys]

    def asset_facts(self, query: pb.AssetFactsQuery) -> AssetFacts:
        """Return what is known of many assets, all at the same moment."""
        what = f"what is known of {len(query.assets)} assets"
        return AssetFacts(self._ask(pb.InstanceQuery(asset_facts=query), what=what).asset_facts, query=query)

    def newest_id(self) -> int:
        """Return a number that every event that is stored later is above."""
        return self.asset_facts(pb.AssetFactsQuery()).newest_id

    def partitions(self, key: AssetKey, search: PartitionSearch) -> Sequence[pb.PartitionFact]:
        """Return the newest event of a kind about each partition."""
        among = None if search.among is None else list(search.among)
        if among is not None and not among:
            return ()
        query = pb.PartitionsQuery(
            asset=path_of(key),
            kind=search.kind,
            partitions=among or (),
            after_id=max(search.after or 0, 0),
            before_id=max(search.before or 0, 0),
            is_with_tags=search.is_with_tags,
        )
        what = f"the partitions of {key.to_user_string()!r}"
        return self._ask(pb.InstanceQuery(partitions=query), what=what).partitions.facts

    def events(self, search: EventSearch, *, limit: int | None) -> list[EventLogRecord]:
        """Return events of one type over all runs."""
        if search.is_empty:
            return []
        wanted = search.filter
        what = f"events of type {wanted.event_type.value} of {_named([wanted.asset_key] if wanted.asset_key else None)}"

        def page(beyond: int, rest: int) -> pb.StoredEvents:
            query = pb.InstanceQuery(events=search.query(beyond=beyond, limit=rest))
            return self._ask(query, what=what).events

        return _all_pages(page, limit=limit)

    def run_events(
        self, run_id: str, *, types: set[DagsterEventType], beyond: int, limit: int | None, is_ascending: bool
    ) -> list[EventLogRecord]:
        """Return events of a run, of all types when none is given; ids are positions within the run."""
        kinds = sorted({kind_of(it) for it in types})

        def page(at: int, rest: int) -> pb.StoredEvents:
            at = at or max(beyond, 0)
            query = pb.RunEventsQuery(
                run_id=run_id,
                after_position=at if is_ascending else 0,
                before_position=0 if is_ascending else at,
                kinds=kinds,
                limit=rest,
                is_descending=not is_ascending,
            )
            return self._ask(pb.InstanceQuery(run_events=query), what=f"the events of run {run_id}").events

        return _all_pages(page, limit=limit, is_wanted=lambda it: not types or it.dagster_event_type in types)

    def check_executions(self, query: pb.CheckExecutionsQuery, *, limit: int) -> Sequence[pb.CheckExecution]:
        """Return executions of one check, newest first."""
        found: list[pb.CheckExecution] = []
        while len(found) < limit:
            query.limit = limit - len(found)
            answer = self._ask_checks(query)
            found += answer.executions
            if not answer.has_more or not answer.executions:
                break
            query.before_id = answer.executions[-1].id
        return found

    def latest_check_executions(self, query: pb.CheckExecutionsQuery) -> Sequence[pb.CheckExecution]:
        """Return the newest execution of each check."""
        return self._ask_checks(query).executions

    def _ask_checks(self, query: pb.CheckExecutionsQuery) -> pb.CheckExecutions:
        names = ", ".join(f"{'/'.join(it.asset.path)}:{it.check_name}" for it in query.checks)
        return self._ask(pb.InstanceQuery(check_executions=query), what=f"executions of {names}").check_executions

    def freshness(self, keys: Sequence[AssetKey]) -> Sequence[pb.FreshnessFact]:
        """Return how fresh assets are by their policies, where that is known."""
        query = pb.FreshnessQuery(assets=[path_of(key) for key in keys])
        answer = self._ask(pb.InstanceQuery(freshness=query), what=f"the freshness of {_named(keys)}")
        return answer.freshness.states

    def dynamic_partitions(self, name: str, *, among: Sequence[str] = ()) -> list[str]:
        """Return keys of dynamic partitions."""
        query = pb.DynamicPartitionsQuery(name=name, keys=among)
        what = f"the dynamic partitions of {name!r}"
        known = list(self._ask(pb.InstanceQuery(dynamic_partitions=query), what=what).dynamic_partitions.keys)
        return known if self.record is None else self.record.partitions_after(name, known=known, among=among)

    def change_dynamic_partitions(self, name: str, *, added: Sequence[str] = (), deleted: Sequence[str] = ()) -> None:
        """Add and delete keys of dynamic partitions."""
        if self.record is not None:
            self.record.change_partitions(name, added=added, deleted=deleted)
            return
        change = pb.ChangeDynamicPartitions(name=name, added=added, deleted=deleted)
        self._ask(pb.InstanceQuery(change_dynamic_partitions=change), what=f"a change of the partitions of {name!r}")

    def runs(self, query: pb.RunsQuery, *, limit: int | None) -> list[pb.FoundRun]:
        """Return runs."""
        found: list[pb.FoundRun] = []
        while limit is None or len(found) < limit:
            query.limit = 0 if limit is None else limit - len(found)
            answer = self._ask(pb.InstanceQuery(runs=query), what="runs").runs
            found += answer.runs
            if not answer.has_more or not answer.runs:
                break
            query.after_run_id = answer.runs[-1].run.request.run.run_id
        return found

    def run_count(self, query: pb.RunsQuery) -> int:
        """Return how many runs there are."""
        query.is_count = True
        return self._ask(pb.InstanceQuery(runs=query), what="the number of runs").runs.count

    def run_tags(self, query: pb.RunTagsQuery) -> Sequence[pb.TagChoice]:
        """Return the tags that runs have."""
        return self._ask(pb.InstanceQuery(run_tags=query), what="the tags of runs").run_tags.tags

    def pools(self, names: Sequence[str] = ()) -> pb.PoolFacts:
        """Return how these pools stand, or all that are limited or used."""
        return self._ask(pb.InstanceQuery(pools=pb.PoolsQuery(pools=names)), what="how pools stand").pools

    def add_run_tags(self, run_id: str, tags: dict[str, str]) -> None:
        """Put tags on a run."""
        if self.record is not None:
            self.record.add_run_tags(run_id, tags)
            return
        change = pb.AddRunTags(run_id=run_id, tags=tags)
        self._ask(pb.InstanceQuery(add_run_tags=change), what=f"new tags of run {run_id}")

    def report_asset_event(self, entry: EventLogEntry) -> None:
        """Tell what happened to an asset outside of runs."""
        event = translate(entry)
        kind = event.WhichOneof("body") or ""
        if kind not in _RUNLESS:
            why = "without a run it can only be told that an asset was materialized, observed or checked"
            raise UnsupportedInstanceCallError("EventLogStorage.store_event", why=why)
        if self.record is not None:
            self.record.report_asset_event(event)
            return
        key = key_of(getattr(event, kind).asset)
        what = f"an event of {key.to_user_string()!r}"
        self._ask(pb.InstanceQuery(report_asset_event=pb.ReportAssetEvent(event=event)), what=what)

    def _ask(self, query: pb.InstanceQuery, *, what: str) -> pb.InstanceAnswer:
        is_optional = is_on_own_account()
        if not is_optional and not is_check_asking():
            return self.client.ask(query, what=what)
        try:
            return self.client.ask(query, what=what, is_optional=is_optional)
        except InstanceUnavailableError:
            # To Dagster it is then unknown what was there before, which it has a word for: the data version "UNKNOWN".
            return _NOTHING


def _all_pages(
    page: Callable[[int, int], pb.StoredEvents],
    *,
    limit: int | None,
    is_wanted: Callable[[Any], bool] = lambda _: True,
) -> list[EventLogRecord]:
    """Ask for page after page: `page` takes the id to go on after and how many are missing, 0 for no limit."""
    found: list[EventLogRecord] = []
    beyond = 0
    while limit is None or len(found) < limit:
        answer = page(beyond, 0 if limit is None else limit - len(found))
        records = [record_of(stored) for stored in answer.events]
        found += [record for record in records if is_wanted(record.event_log_entry)]
        if not answer.has_more or not records:
            break
        beyond = records[-1].storage_id
    return found


def record_of(stored: pb.StoredEvent) -> EventLogRecord:
    """Return an event as Dagster keeps it."""
    return EventLogRecord(storage_id=stored.id, event_log_entry=entry_of(stored))


def _asset_of(stored: pb.StoredEvent) -> AssetKey:
    event = stored.event
    return key_of(getattr(event, event.WhichOneof("body") or "").asset)


def _id(cursor: Any) -> int | None:
    """Return the event that a cursor names: a number, or one that also names a time, which is not needed here."""
    return cursor if cursor is None or isinstance(cursor, int) else cursor.id


def _stamp(seconds: float | None) -> Timestamp | None:
    """Return a time to the microsecond, as the store keeps it: a float a little below would find its own event again."""
    if seconds is None:
        return None
    stamp = Timestamp()
    stamp.FromMicroseconds(round(seconds * 1e6))
    return stamp


def _named(keys: Iterable[AssetKey] | None) -> str:
    return "all assets" if keys is None else ", ".join(repr(key.to_user_string()) for key in keys)
