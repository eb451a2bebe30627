"""Jobs, an asset, and sensors that look at them and at a counter of their own."""

# a user's project, not the product

import dagster as dg

regions = dg.DynamicPartitionsDefinition(name="regions")


@dg.op
def work() -> None: ...


@dg.op
def break_down() -> None:
    raise ValueError("broken")


@dg.job
def watched() -> None:
    work()


@dg.job
def broken() -> None:
    break_down()


@dg.job
def answer() -> None:
    work()


@dg.asset
def orders() -> None: ...


class Always(dg.AutomationCondition):
    """A condition of the project's own."""

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        return dg.AutomationResult(context, true_subset=context.candidate_subset)


@dg.asset(deps=[orders], automation_condition=dg.AutomationCondition.eager() & Always())
def reported() -> None: ...


@dg.asset(partitions_def=regions)
def regional() -> None: ...


regional_job = dg.define_asset_job("regional_job", selection=[regional], partitions_def=regions)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[watched],
    request_job=answer,
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def after_watched(context: dg.RunStatusSensorContext) -> dg.RunRequest:
    return dg.RunRequest(run_key=context.dagster_run.run_id, tags={"after": context.dagster_run.run_id})


@dg.run_failure_sensor(
    monitored_jobs=[broken], minimum_interval_seconds=600, default_status=dg.DefaultSensorStatus.RUNNING
)
def after_failure(context: dg.RunFailureSensorContext) -> None:
    context.log.warning("%s failed", context.dagster_run.job_name)


@dg.asset_sensor(
    asset_key=dg.AssetKey("orders"),
    job=answer,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def on_orders(context: dg.SensorEvaluationContext, event: dg.EventLogEntry) -> dg.RunRequest:
    return dg.RunRequest(tags={"because": "orders"})


@dg.sensor(job=regional_job, minimum_interval_seconds=1)
def opening(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    count = int(context.cursor or 0)
    if count >= 2:
        return dg.SkipReason("all are open")
    key = f"region-{count}"
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=key, partition_key=key)],
        dynamic_partitions_requests=[regions.build_add_request([key])],
        cursor=str(count + 1),
    )


defs = dg.Definitions(
    assets=[orders, reported, regional],
    jobs=[watched, broken, answer, regional_job],
    sensors=[after_watched, after_failure, on_orders, opening],
)
