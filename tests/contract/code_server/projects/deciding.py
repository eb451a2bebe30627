"""Schedules and sensors of every kind, which want everything that one can want."""

# a user's project, not the product

import dagster as dg
from dagster._core.definitions.events import AssetKeyPartitionKey

try:
    from dagster import AssetCheckEvaluation
    from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
except ImportError:
    from dagster._core.definitions.asset_check_evaluation import AssetCheckEvaluation
    from dagster._core.definitions.asset_graph_subset import AssetGraphSubset

regions = dg.DynamicPartitionsDefinition(name="regions")
days = dg.DailyPartitionsDefinition("2024-01-01", timezone="Europe/Berlin")


@dg.asset(partitions_def=days)
def daily() -> None: ...


@dg.asset
def plain() -> None: ...


@dg.asset(partitions_def=regions)
def regional() -> None: ...


@dg.asset_check(asset=plain)
def is_filled() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.op
def one() -> int:
    return 1


@dg.job
def watched() -> None:
    one()


@dg.job
def unwatched() -> None:
    one()


@dg.job
def answering() -> None:
    one()


all_assets = dg.define_asset_job("all_assets", selection=[plain])
daily_job = dg.define_asset_job("daily_job", selection=[daily], partitions_def=days)
regional_job = dg.define_asset_job("regional_job", selection=[regional], partitions_def=regions)


@dg.schedule(cron_schedule="0 22 * * *", job=answering, execution_timezone="America/New_York")
def in_new_york(context: dg.ScheduleEvaluationContext):
    at = context.scheduled_execution_time
    context.log.info("it is %s", at.strftime("%H:%M"))
    return dg.RunRequest(tags={"day": at.strftime("%Y-%m-%d"), "offset": str(at.utcoffset())})


@dg.schedule(cron_schedule="0 1 * * *", job=answering)
def writing(context: dg.ScheduleEvaluationContext):
    context.instance.add_dynamic_partitions("regions", ["north"])
    known = context.instance.get_dynamic_partitions("regions")
    context.instance.report_runless_asset_event(dg.AssetMaterialization("plain", metadata={"rows": 3}))
    context.instance.add_run_tags("run-7", {"seen": "yes"})
    return dg.SkipReason(",".join(known))


partitioned = dg.build_schedule_from_partitioned_job(daily_job, hour_of_day=2)


@dg.sensor(job=all_assets)
def selecting():
    yield dg.RunRequest(run_key="whole")
    yield dg.RunRequest(
        run_key="checks", asset_selection=[], asset_check_keys=[dg.AssetCheckKey(dg.AssetKey("plain"), "is_filled")]
    )
    yield dg.RunRequest(run_key="stale", asset_selection=[dg.AssetKey("plain")], stale_assets_only=True)


@dg.sensor(job=regional_job)
def opening(context: dg.SensorEvaluationContext):
    return dg.SensorResult(
        run_requests=[dg.RunRequest(partition_key="south")],
        dynamic_partitions_requests=[regions.build_add_request(["south"]), regions.build_delete_request(["east"])],
        asset_events=[
            dg.AssetMaterialization("plain", partition="p"),
            dg.AssetObservation("plain"),
            AssetCheckEvaluation(asset_key=dg.AssetKey("plain"), check_name="is_filled", passed=False, metadata={}),
        ],
        cursor="opened",
    )


@dg.sensor(asset_selection=dg.AssetSelection.all())
def filling(context: dg.SensorEvaluationContext):
    subset = AssetGraphSubset.from_asset_partition_set(
        {
            *(AssetKeyPartitionKey(dg.AssetKey("daily"), f"2024-01-0{day}") for day in (1, 2, 5)),
            AssetKeyPartitionKey(dg.AssetKey("plain")),
        },
        context.repository_def.asset_graph,
    )
    return dg.SensorResult(run_requests=[dg.RunRequest.for_asset_graph_subset(subset, tags={"why": "gap"})])


@dg.sensor(job=answering)
def told(context: dg.SensorEvaluationContext):
    return dg.SkipReason(f"{context.last_tick_completion_time} {context.last_sensor_start_time} {context.cursor}")


@dg.sensor(job=answering)
def chatty(context: dg.SensorEvaluationContext):
    context.log.debug("a detail")
    try:
        raise KeyError("nothing there")
    except KeyError:
        context.log.exception("could not look")
    raise ValueError("gave up") from LookupError("no way")


@dg.sensor(job=answering)
def endless_talk(context: dg.SensorEvaluationContext):
    for number in range(1200):
        context.log.info("line %d", number)


@dg.run_status_sensor(run_status=dg.DagsterRunStatus.SUCCESS)
def after_any(context: dg.RunStatusSensorContext): ...


@dg.run_status_sensor(run_status=dg.DagsterRunStatus.SUCCESS, monitored_jobs=[watched], request_job=answering)
def after_watched(context: dg.RunStatusSensorContext):
    return dg.RunRequest(run_key=context.dagster_run.run_id)


@dg.run_failure_sensor(monitored_jobs=[dg.CodeLocationSelector("elsewhere")])
def after_failure_elsewhere(context: dg.RunFailureSensorContext):
    raise RuntimeError(f"no mail for {context.dagster_run.run_id}")


@dg.run_status_sensor(run_status=dg.DagsterRunStatus.STARTED, monitor_all_code_locations=True)
def everywhere(context: dg.RunStatusSensorContext): ...


@dg.asset_sensor(asset_key=dg.AssetKey("plain"), job=answering)
def on_plain(context: dg.SensorEvaluationContext, event: dg.EventLogEntry):
    return dg.RunRequest(run_key=context.cursor)


@dg.multi_asset_sensor(monitored_assets=[dg.AssetKey("plain"), dg.AssetKey("daily")], job=answering)
def on_several(context: dg.MultiAssetSensorEvaluationContext):
    context.advance_all_cursors()


defs = dg.Definitions(
    assets=[daily, plain, regional],
    asset_checks=[is_filled],
    jobs=[watched, unwatched, answering, all_assets, daily_job, regional_job],
    schedules=[in_new_york, writing, partitioned],
    sensors=[
        selecting,
        opening,
        filling,
        told,
        chatty,
        endless_talk,
        after_any,
        after_watched,
        after_failure_elsewhere,
        everywhere,
        on_plain,
        on_several,
    ],
)
