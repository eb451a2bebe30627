"""Sensors of every kind. What they want follows from their cursors and from what happened alone."""

# a user's project, not the product

import datetime as dt

import dagster as dg

RARELY, OFTEN = 3600, 60
#: Whoever has these runs: the location itself, and another one with a repository of its own.
HERE, ELSEWHERE = "sensing", "elsewhere"

regions = dg.DynamicPartitionsDefinition(name="regions")
colours = dg.StaticPartitionsDefinition(["red", "green"])


class Greeting(dg.Config):
    name: str = "nobody"


@dg.op
def greet(config: Greeting) -> None: ...


@dg.op
def work() -> None: ...


@dg.op
def break_down() -> None:
    raise ValueError("broken")


@dg.job(tags={"team": "core"})
def answering() -> None:
    greet()


@dg.job
def other() -> None:
    work()


@dg.job
def watched() -> None:
    work()


@dg.job
def broken() -> None:
    break_down()


@dg.asset
def orders() -> None: ...


@dg.asset(partitions_def=colours)
def coloured() -> None: ...


@dg.asset(partitions_def=regions)
def regional() -> None: ...


make_orders = dg.define_asset_job("make_orders", [orders])
make_coloured = dg.define_asset_job("make_coloured", [coloured], partitions_def=colours)
make_regional = dg.define_asset_job("make_regional", [regional], partitions_def=regions)


# ------------------------------------------------------------------------------------------------ what time wakes


@dg.sensor(job=answering, minimum_interval_seconds=RARELY)
def counting(context: dg.SensorEvaluationContext):
    """A cursor, and a run key that comes again."""
    count = int(context.cursor or 0)
    context.log.info("count %d, last key %s", count, context.last_run_key)
    if count == 2:
        context.update_cursor("3")
        return dg.SkipReason("not this time")
    context.update_cursor(str(count + 1))
    return dg.RunRequest(
        run_key=f"key-{count // 2}",
        run_config={"ops": {"greet": {"config": {"name": str(count)}}}},
        tags={"count": str(count)},
    )


@dg.sensor(job=other, minimum_interval_seconds=RARELY)
def failing_in_between(context: dg.SensorEvaluationContext):
    """What it sets before it fails is lost."""
    tries = context.instance.get_dynamic_partitions("tries")
    context.instance.add_dynamic_partitions("tries", [f"try-{len(tries)}"])
    context.update_cursor(f"{context.cursor or ''}+")
    if len(context.cursor or "") % 2 == 0:
        raise RuntimeError(f"fails at {context.cursor}")
    yield dg.RunRequest(tags={"cursor": context.cursor or ""})


@dg.sensor(job=answering, minimum_interval_seconds=RARELY)
def always_failing(context: dg.SensorEvaluationContext):
    context.update_cursor("lost")
    raise RuntimeError("fails") from LookupError("why")


@dg.sensor(jobs=[answering, other], minimum_interval_seconds=RARELY)
def several_jobs(context: dg.SensorEvaluationContext):
    yield dg.RunRequest(run_key="a", job_name="answering", tags={"to": "answering"})
    yield dg.RunRequest(run_key=f"b{context.cursor}", job_name="other")
    # The first 1.10 starts a run for each of two requests of the same key in one tick.
    again = "c" if dg.__version__.startswith("1.10.") else "b"
    yield dg.RunRequest(run_key=f"{again}{context.cursor}", job_name="answering")
    context.update_cursor(f"{context.cursor or ''}.")


@dg.sensor(job=make_regional, minimum_interval_seconds=RARELY)
def opening(context: dg.SensorEvaluationContext):
    count = int(context.cursor or 0)
    keys = [f"region-{count}", f"region-{count + 1}"]
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=key, partition_key=key) for key in keys],
        dynamic_partitions_requests=[
            regions.build_add_request(keys),
            *([regions.build_delete_request([f"region-{count - 1}"])] if count else []),
        ],
        cursor=str(count + 1),
    )


@dg.sensor(asset_selection=dg.AssetSelection.assets(orders, coloured), minimum_interval_seconds=RARELY)
def telling_of_assets(context: dg.SensorEvaluationContext):
    if context.cursor:
        return dg.SensorResult(skip_reason="told already", cursor=context.cursor)
    return dg.SensorResult(
        asset_events=[dg.AssetMaterialization("told", metadata={"rows": 3}), dg.AssetObservation("told")],
        run_requests=[dg.RunRequest(asset_selection=[dg.AssetKey("orders")])],
        cursor="told",
    )


@dg.sensor(minimum_interval_seconds=RARELY)
def aimless(context: dg.SensorEvaluationContext):
    """It has no target: what it asks for cannot be had."""
    if context.cursor == "asked":
        return None
    context.update_cursor("asked")
    return dg.SkipReason(f"last tick: {context.last_tick_completion_time is not None}")


@dg.sensor(job=make_coloured, minimum_interval_seconds=RARELY)
def impossible(context: dg.SensorEvaluationContext):
    context.update_cursor("lost")
    return dg.RunRequest(partition_key="blue")


# ------------------------------------------------------------------------------------------ what events wake as well


@dg.asset_sensor(asset_key=dg.AssetKey("orders"), job=answering, minimum_interval_seconds=OFTEN)
def on_orders(context: dg.SensorEvaluationContext, event: dg.EventLogEntry):
    yield dg.RunRequest(run_key=event.run_id or None, tags={"because": event.run_id or "nobody"})


@dg.asset_sensor(asset_key=dg.AssetKey("coloured"), job=make_coloured, minimum_interval_seconds=OFTEN)
def on_coloured(context: dg.SensorEvaluationContext, event: dg.EventLogEntry):
    materialization = event.dagster_event.event_specific_data.materialization
    return dg.RunRequest(partition_key=materialization.partition) if materialization.partition == "red" else None


@dg.multi_asset_sensor(
    monitored_assets=[dg.AssetKey("orders"), dg.AssetKey("coloured")], job=other, minimum_interval_seconds=OFTEN
)
def on_both(context: dg.MultiAssetSensorEvaluationContext):
    latest = context.latest_materialization_records_by_key()
    if not all(latest.values()):
        return dg.SkipReason("not both")
    context.advance_all_cursors()
    return dg.RunRequest(tags={key.to_user_string(): record.run_id for key, record in latest.items()})


@dg.multi_asset_sensor(monitored_assets=[dg.AssetKey("coloured")], job=make_coloured, minimum_interval_seconds=OFTEN)
def on_partitions(context: dg.MultiAssetSensorEvaluationContext):
    for partition, record in context.latest_materialization_records_by_partition(dg.AssetKey("coloured")).items():
        context.advance_cursor({dg.AssetKey("coloured"): record})
        yield dg.RunRequest(run_key=record.run_id, partition_key=partition)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[watched],
    request_job=answering,
    minimum_interval_seconds=OFTEN,
)
def after_watched(context: dg.RunStatusSensorContext):
    return dg.RunRequest(run_key=context.dagster_run.run_id, tags={"after": context.dagster_run.run_id})


@dg.run_status_sensor(run_status=dg.DagsterRunStatus.SUCCESS, minimum_interval_seconds=OFTEN)
def after_any_of_here(context: dg.RunStatusSensorContext):
    context.log.info("saw %s", context.dagster_run.run_id)


@dg.run_failure_sensor(minimum_interval_seconds=OFTEN)
def after_failure(context: dg.RunFailureSensorContext):
    if context.dagster_run.tags.get("mail") == "no":
        raise RuntimeError(f"no mail for {context.dagster_run.job_name}")
    context.log.info("mail for %s: %s", context.dagster_run.job_name, context.failure_event.message)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    minimum_interval_seconds=OFTEN,
    monitored_jobs=[dg.JobSelector(location_name=ELSEWHERE, repository_name="side", job_name="remote")],
    request_job=other,
)
def after_a_job_elsewhere(context: dg.RunStatusSensorContext):
    return dg.RunRequest(tags={"after": context.dagster_run.run_id})


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    minimum_interval_seconds=OFTEN,
    monitored_jobs=[dg.RepositorySelector(location_name=ELSEWHERE, repository_name="side")],
)
def after_the_repository_elsewhere(context: dg.RunStatusSensorContext):
    context.log.info("saw %s", context.dagster_run.run_id)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    minimum_interval_seconds=OFTEN,
    monitored_jobs=[dg.RepositorySelector(location_name=ELSEWHERE, repository_name="another")],
)
def after_another_repository(context: dg.RunStatusSensorContext):
    context.log.info("saw %s", context.dagster_run.run_id)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    minimum_interval_seconds=OFTEN,
    monitored_jobs=[dg.CodeLocationSelector(ELSEWHERE), watched],
)
def after_a_location_or_a_job(context: dg.RunStatusSensorContext):
    return dg.SkipReason(f"seen {context.dagster_run.job_name}")


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.STARTED, minimum_interval_seconds=OFTEN, monitor_all_code_locations=True
)
def when_any_starts(context: dg.RunStatusSensorContext):
    context.log.info("saw %s", context.dagster_run.run_id)


# --------------------------------------------------------------------------------------------------- freshness checks

freshness = dg.build_last_update_freshness_checks(assets=[orders], lower_bound_delta=dt.timedelta(days=20))
freshness_sensor = dg.build_sensor_for_freshness_checks(freshness_checks=freshness, minimum_interval_seconds=RARELY)

defs = dg.Definitions(
    executor=dg.in_process_executor,
    assets=[orders, coloured, regional],
    asset_checks=freshness,
    jobs=[answering, other, watched, broken, make_orders, make_coloured, make_regional],
    sensors=[
        counting,
        failing_in_between,
        always_failing,
        several_jobs,
        opening,
        telling_of_assets,
        aimless,
        impossible,
        on_orders,
        on_coloured,
        on_both,
        on_partitions,
        after_watched,
        after_any_of_here,
        after_failure,
        after_a_job_elsewhere,
        after_the_repository_elsewhere,
        after_another_repository,
        after_a_location_or_a_job,
        when_any_starts,
        freshness_sensor,
    ],
)
