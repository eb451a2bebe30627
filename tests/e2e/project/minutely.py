"""Schedules that are due each minute."""

from dagster import DefaultScheduleStatus, Definitions, RunRequest, ScheduleEvaluationContext, job, op, schedule


@op
def nothing() -> None:
    pass


@job
def quick() -> None:
    nothing()


def minutely(name: str):
    @schedule(cron_schedule="* * * * *", job=quick, name=name, default_status=DefaultScheduleStatus.RUNNING)
    def evaluate(context: ScheduleEvaluationContext) -> RunRequest:
        context.log.info("evaluated")
        return RunRequest(tags={"minute": context.scheduled_execution_time.isoformat()})

    return evaluate


defs = Definitions(jobs=[quick], schedules=[minutely(f"minutely_{number}") for number in range(5)])
