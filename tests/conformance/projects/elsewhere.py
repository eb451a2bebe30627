"""Two repositories of one location, whose runs sensors of another location look at."""

# a user's project, not the product

import dagster as dg


@dg.op
def work() -> None: ...


@dg.job(executor_def=dg.in_process_executor)
def remote() -> None:
    work()


@dg.job(executor_def=dg.in_process_executor)
def also_remote() -> None:
    work()


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    minimum_interval_seconds=60,
    monitored_jobs=[dg.JobSelector(location_name="sensing", repository_name="__repository__", job_name="watched")],
)
def after_watched_there(context: dg.RunStatusSensorContext):
    context.log.info("saw %s", context.dagster_run.run_id)


@dg.run_status_sensor(run_status=dg.DagsterRunStatus.SUCCESS, minimum_interval_seconds=60)
def after_any_of_side(context: dg.RunStatusSensorContext):
    context.log.info("saw %s", context.dagster_run.run_id)


@dg.repository
def side():
    return [remote, after_watched_there, after_any_of_side]


@dg.repository
def another():
    return [also_remote]
