"""A thousand schedules that are due at the same minutes, each asking for a run."""

import os

from dagster import (
    DefaultScheduleStatus,
    Definitions,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    job,
    op,
)


@op
def nothing() -> None:
    pass


@job
def quick() -> None:
    nothing()


def schedule(number: int) -> ScheduleDefinition:
    def evaluate(context: ScheduleEvaluationContext) -> RunRequest:
        return RunRequest(tags={"at": context.scheduled_execution_time.isoformat()})

    return ScheduleDefinition(
        name=f"schedule_{number}",
        cron_schedule="* * * * *",
        job=quick,
        execution_fn=evaluate,
        default_status=DefaultScheduleStatus.RUNNING,
    )


defs = Definitions(
    jobs=[quick],
    schedules=[schedule(number) for number in range(int(os.environ.get("BENCH_SCHEDULES", "1000")))],
)
