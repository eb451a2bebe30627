"""Dagster's evaluation contexts with our instance in them, which Dagster would otherwise open by its reference."""

from typing import Any

from dagster import DagsterInstance, ScheduleEvaluationContext, SensorEvaluationContext


class SensorContext(SensorEvaluationContext):
    """A sensor's context."""

    def __init__(self, *, instance: DagsterInstance, **told: Any) -> None:
        super().__init__(instance_ref=instance.get_ref(), instance=instance, **told)


class ScheduleContext(ScheduleEvaluationContext):
    """A schedule's context."""

    def __init__(self, *, instance: DagsterInstance, **told: Any) -> None:
        super().__init__(instance_ref=instance.get_ref(), **told)
        context: Any = self
        context._instance = instance  # noqa: SLF001  # the constructor takes a reference only
