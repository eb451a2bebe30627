"""Asks an instance everything that can be asked, and gives the answers without what differs from one history to another.

The same function runs in an op of Isthmus and beside Dagster's own instance.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dagster import AssetCheckKey, AssetKey, DagsterEventType, DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.event_api import AssetRecordsFilter, EventRecordsFilter
from dagster._core.events.log import EventLogEntry

RAW, REFINED, DAILY = AssetKey("raw"), AssetKey("refined"), AssetKey("daily")
EXTERNAL = AssetKey(["outside", "thing"])
NEVER = AssetKey("never_made")
REPORTED = AssetKey(["outside", "reported"])
TOLD = AssetCheckKey(REPORTED, "is_told")
FRESH, BROKEN = AssetCheckKey(RAW, "is_fresh"), AssetCheckKey(REFINED, "is_whole")

_MATERIALIZED = DagsterEventType.ASSET_MATERIALIZATION
_OF_STEPS = {
    DagsterEventType.STEP_START,
    DagsterEventType.STEP_INPUT,
    DagsterEventType.STEP_OUTPUT,
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.HANDLED_OUTPUT,
    DagsterEventType.LOADED_INPUT,
}


def inquire(instance: DagsterInstance) -> dict[str, Any]:
    """Ask every question; an answer that is an exception is told as such."""
    return {question.__name__: _told(question, instance) for question in QUESTIONS}


def _told(question: Callable[[DagsterInstance], Any], instance: DagsterInstance) -> Any:
    try:
        return question(instance)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
        return f"{type(error).__name__}: {error}"


# -------------------------------------------------------------------------------------------------------------- assets


def latest_materialization(instance: DagsterInstance) -> Any:
    return [entry(instance.get_latest_materialization_event(key)) for key in (RAW, REFINED, EXTERNAL, DAILY, NEVER)]


def told_without_a_run(instance: DagsterInstance) -> Any:
    latest = instance.get_latest_materialization_event(REPORTED)
    seen = instance.fetch_observations(REPORTED, limit=5).records
    checks = instance.event_log_storage.get_latest_asset_check_execution_by_key([TOLD])
    return [
        [entry(record.event_log_entry) for record in instance.fetch_materializations(REPORTED, limit=5).records],
        [latest.run_id if latest else None, [entry(record.event_log_entry) for record in seen]],
        sorted(instance.get_materialized_partitions(REPORTED)),
        [check(record) for record in checks.values()],
    ]


def latest_code_versions(instance: DagsterInstance) -> Any:
    return plain(instance.get_latest_materialization_code_versions([RAW, REFINED, NEVER]))


def latest_data_version(instance: DagsterInstance) -> Any:
    return [
        entry(record.event_log_entry)
        for key in (RAW, REFINED)
        if (record := instance.get_latest_data_version_record(key))
    ]


def input_pointer_names_the_input(instance: DagsterInstance) -> bool:
    [raw] = instance.fetch_materializations(RAW, limit=1).records
    [refined] = instance.fetch_materializations(REFINED, limit=1).records
    tags = refined.asset_materialization.tags if refined.asset_materialization else {}
    return dict(tags or {}).get("dagster/input_event_pointer/raw") == str(raw.storage_id)


def materializations(instance: DagsterInstance) -> Any:
    return [entry(record.event_log_entry) for record in instance.fetch_materializations(DAILY, limit=10).records]


def materializations_page_by_page(instance: DagsterInstance) -> Any:
    pages: list[Any] = []
    cursor = None
    for _ in range(6):
        result = instance.fetch_materializations(DAILY, limit=1, cursor=cursor, ascending=True)
        pages.append([[record.partition_key for record in result.records], result.has_more])
        cursor = result.cursor
    return pages


def materializations_of_partitions(instance: DagsterInstance) -> Any:
    wanted = AssetRecordsFilter(asset_key=DAILY, asset_partitions=["b", "c"])
    return [entry(record.event_log_entry) for record in instance.fetch_materializations(wanted, limit=5).records]


def observations(instance: DagsterInstance) -> Any:
    return [entry(record.event_log_entry) for record in instance.fetch_observations(RAW, limit=5).records]


def event_records(instance: DagsterInstance) -> Any:
    every = instance.get_event_records(EventRecordsFilter(_MATERIALIZED, DAILY), limit=5, ascending=True)
    middle = every[1]
    after = EventRecordsFilter(_MATERIALIZED, DAILY, after_cursor=middle.storage_id)
    before = EventRecordsFilter(_MATERIALIZED, DAILY, before_cursor=middle.storage_id)
    only = EventRecordsFilter(_MATERIALIZED, DAILY, storage_ids=[middle.storage_id])
    since = EventRecordsFilter(_MATERIALIZED, DAILY, after_timestamp=middle.timestamp)
    found = [every, *(instance.get_event_records(it, limit=5, ascending=True) for it in (after, before, only, since))]
    return [[record.partition_key for record in records] for records in found]


def asset_records(instance: DagsterInstance) -> Any:
    records = instance.get_asset_records([RAW, DAILY, NEVER])
    return sorted(
        (record.asset_entry.asset_key.to_string(), entry(record.asset_entry.last_materialization)) for record in records
    )


def asset_keys(instance: DagsterInstance) -> Any:
    outside = instance.get_asset_keys(prefix=["outside"])
    return [
        sorted(key.to_string() for key in instance.all_asset_keys()),
        [key.to_string() for key in outside],
        [instance.has_asset_key(key) for key in (RAW, NEVER)],
    ]


def materialized_partitions(instance: DagsterInstance) -> Any:
    [_, middle, *_] = instance.fetch_materializations(DAILY, limit=5, ascending=True).records
    return [
        sorted(instance.get_materialized_partitions(DAILY)),
        sorted(instance.get_materialized_partitions(DAILY, after_cursor=middle.storage_id)),
        sorted(instance.get_materialized_partitions(DAILY, before_cursor=middle.storage_id)),
        sorted(instance.get_materialized_partitions(RAW)),
    ]


def partition_tags(instance: DagsterInstance) -> Any:
    ask = instance.event_log_storage.get_latest_tags_by_partition
    return [
        plain(ask(DAILY, _MATERIALIZED, ["dagster/data_version"])),
        plain(ask(DAILY, _MATERIALIZED, ["dagster/data_version"], asset_partitions=["a"])),
    ]


def order_of_partitions(instance: DagsterInstance) -> Any:
    ids = instance.get_latest_storage_id_by_partition(DAILY, _MATERIALIZED)
    return sorted(ids, key=lambda partition: ids[partition])


def planned_and_not_made(instance: DagsterInstance) -> Any:
    ask = instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations
    return sorted(ask(DAILY))


# -------------------------------------------------------------------------------------------------------------- checks


def check_history(instance: DagsterInstance) -> Any:
    ask = instance.event_log_storage.get_asset_check_execution_history
    return [[check(record) for record in ask(key, limit=5)] for key in (FRESH, BROKEN)]


def latest_checks(instance: DagsterInstance) -> Any:
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key([FRESH, BROKEN])
    return {key.to_user_string(): check(record) for key, record in found.items()}


def check_summary(instance: DagsterInstance) -> Any:
    found = instance.event_log_storage.get_asset_check_summary_records([FRESH, BROKEN])
    return {key.to_user_string(): check(it.last_completed_check_execution_record) for key, it in found.items()}


def check_names_its_target(instance: DagsterInstance) -> Any:
    [record] = instance.event_log_storage.get_asset_check_execution_history(FRESH, limit=1)
    [raw] = instance.fetch_materializations(RAW, limit=1).records
    evaluation: Any = record.evaluation
    target = evaluation.target_materialization_data
    return [target.storage_id == raw.storage_id, target.run_id == raw.run_id]


# ---------------------------------------------------------------------------------------------------------------- runs


def runs_by_filter(instance: DagsterInstance) -> Any:
    filters = {
        "job": RunsFilter(job_name="make"),
        "tag": RunsFilter(tags={"team": "blue"}),
        "tags": RunsFilter(tags={"team": ["blue", "red"]}),
        "failed": RunsFilter(statuses=[DagsterRunStatus.FAILURE]),
        "none": RunsFilter(tags={"team": "green"}),
    }
    return {name: [it.job_name for it in instance.get_runs(wanted)] for name, wanted in filters.items()}


def runs_in_pages(instance: DagsterInstance) -> Any:
    ended = RunsFilter(statuses=[DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE])
    every = instance.get_runs(ended)
    page = instance.get_runs(ended, limit=2)
    following = instance.get_runs(ended, cursor=page[-1].run_id, limit=2)
    return [[it.job_name for it in found] for found in (every, page, following)]


def one_run(instance: DagsterInstance) -> Any:
    [run] = instance.get_runs(RunsFilter(job_name="make"))
    found = instance.get_run_by_id(run.run_id)
    [record] = instance.get_run_records(RunsFilter(run_ids=[run.run_id]))
    assert found is not None
    times = [record.start_time, record.end_time]
    is_ordered = None not in times and times == sorted(it for it in times if it is not None)
    tags = {key: value for key, value in found.tags.items() if not key.startswith((".dagster", "dagster/"))}
    return [found.job_name, found.status.value, plain(found.run_config), tags, is_ordered]


def run_numbers(instance: DagsterInstance) -> Any:
    failed = RunsFilter(statuses=[DagsterRunStatus.FAILURE])
    return [instance.get_runs_count(failed), len(instance.get_run_ids(failed)), instance.has_run("nobody")]


def run_tags(instance: DagsterInstance) -> Any:
    return sorted((key, sorted(values)) for key, values in instance.get_run_tags(["team"]))


def run_events(instance: DagsterInstance) -> Any:
    [run] = instance.get_runs(RunsFilter(job_name="make"))
    first = instance.get_records_for_run(run.run_id, of_type=_MATERIALIZED, limit=1)
    rest = instance.get_records_for_run(run.run_id, of_type=_MATERIALIZED, cursor=first.cursor)
    return [
        sorted(entry_line(it) for it in instance.all_logs(run.run_id, of_type=_OF_STEPS)),
        [[entry_line(record.event_log_entry) for record in it.records] for it in (first, rest)],
    ]


def failure(instance: DagsterInstance) -> Any:
    [run] = instance.get_runs(RunsFilter(job_name="fail"))
    [it] = instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE)
    error = it.dagster_event.step_failure_data.error if it.dagster_event else None
    innermost = error.cause if error is not None and error.cause is not None else error
    return [innermost.cls_name, innermost.message.strip()] if innermost is not None else None


def run_status_changes(instance: DagsterInstance) -> Any:
    kinds = (DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE)
    return [
        [
            it.event_log_entry.job_name
            for it in instance.fetch_run_status_changes(kind, limit=20, ascending=True).records
        ]
        for kind in kinds
    ]


# ---------------------------------------------------------------------------------------------------- dynamic partitions


def dynamic_partitions(instance: DagsterInstance) -> Any:
    return [
        list(instance.get_dynamic_partitions("tenants")),
        [instance.has_dynamic_partition("tenants", key) for key in ("acme", "nobody")],
        sorted(instance.get_materialized_partitions(AssetKey("tenant_report"))),
    ]


QUESTIONS: Sequence[Callable[[DagsterInstance], Any]] = (
    latest_materialization,
    told_without_a_run,
    latest_code_versions,
    latest_data_version,
    input_pointer_names_the_input,
    materializations,
    materializations_page_by_page,
    materializations_of_partitions,
    observations,
    event_records,
    asset_records,
    asset_keys,
    materialized_partitions,
    partition_tags,
    order_of_partitions,
    planned_and_not_made,
    check_history,
    latest_checks,
    check_summary,
    check_names_its_target,
    runs_by_filter,
    runs_in_pages,
    one_run,
    run_numbers,
    run_tags,
    run_events,
    failure,
    run_status_changes,
    dynamic_partitions,
)


# ------------------------------------------------------------------------------------------------------------- telling


def entry(it: EventLogEntry | None) -> Any:
    """Tell of an asset's event what does not depend on ids and times."""
    if it is None:
        return None
    told: Any = it.asset_materialization or it.asset_observation
    return {
        "kind": it.dagster_event_type.value if it.dagster_event_type else None,
        "asset": told.asset_key.to_string(),
        "partition": told.partition,
        "description": told.description,
        "step": it.step_key,
        "job": it.job_name,
        "metadata": {label: metadata(value) for label, value in sorted(told.metadata.items())},
        "tags": {key: value for key, value in sorted((told.tags or {}).items()) if "event_pointer" not in key},
    }


def metadata(value: Any) -> Any:
    is_of_this_machine = type(value).__name__ == "PathMetadataValue"
    return [type(value).__name__, "a path" if is_of_this_machine else plain(value.value)]


def entry_line(it: EventLogEntry) -> str:
    return f"{it.dagster_event_type.value if it.dagster_event_type else ''} {it.step_key}"


def check(record: Any) -> Any:
    if record is None:
        return None
    evaluation = record.evaluation
    return [
        record.status.value,
        evaluation.passed if evaluation else None,
        evaluation.severity.value if evaluation else None,
        {label: metadata(value) for label, value in sorted(evaluation.metadata.items())} if evaluation else None,
    ]


def plain(value: Any) -> Any:
    """Tell a value as JSON could."""
    if type(value).__name__.startswith("Table"):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(it) for key, it in sorted(value.items(), key=lambda pair: str(pair[0]))}
    if isinstance(value, list | tuple):
        return [plain(it) for it in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
