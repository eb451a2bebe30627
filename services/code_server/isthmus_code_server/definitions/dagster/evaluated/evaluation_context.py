"""Dagster's evaluation contexts with our instance in them.

Dagster opens a context's instance by a reference that any process could follow, and takes dynamic partitions from it
only if there is such a reference. Ours exists in this process alone: it is handed over, and the contexts say that it is
there.
"""

from typing import Any

from dagster import DagsterInstance, ScheduleEvaluationContext, SensorEvaluationContext


class SensorContext(SensorEvaluationContext):
    """A sensor's context."""

    def __init__(self, *, instance: DagsterInstance, **told: Any) -> None:
        super().__init__(instance_ref=None, instance=instance, **told)

    @property
    def instance_ref(self) -> Any:
        """Say that there is an instance to ask."""
        return self.instance


class ScheduleContext(ScheduleEvaluationContext):
    """A schedule's context."""

    def __init__(self, *, instance: DagsterInstance, **told: Any) -> None:
        super().__init__(instance_ref=None, **told)
        context: Any = self
        context._instance = instance  # noqa: SLF001  # the constructor takes a reference only

    @property
    def instance(self) -> DagsterInstance:
        """The instance that was handed over."""
        instance: DagsterInstance = self._instance  # type: ignore[assignment]  # Dagster declares it by its first value
        return instance

    @property
    def instance_ref(self) -> Any:
        """Say that there is an instance to ask."""
        return self.instance
