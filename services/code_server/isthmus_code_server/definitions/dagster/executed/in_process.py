"""Dagster's in-process executor, with its steps waiting for slots of pools as ours do."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import TYPE_CHECKING, Any

from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.execute_plan import inner_plan_execution_iterator
from dagster._core.executor.in_process import InProcessExecutor

from isthmus_code_server.definitions.dagster.executed.slot_claims import PatientSlotClaims, priority_of
from isthmus_code_server.definitions.dagster.executed.step_site import StepSite

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan

#: A setting of the executor that older versions of Dagster do not know.
_DEPENDENCIES = "step_dependency_config"


class OwnInProcessExecutor(InProcessExecutor):
    """Runs the steps in the run's own process, one after another."""

    def __init__(self, original: InProcessExecutor, *, site: StepSite) -> None:
        """Take over the settings of Dagster's."""
        known = _DEPENDENCIES in signature(InProcessExecutor.__init__).parameters
        settings: Any = {_DEPENDENCIES: original.step_dependency_config} if known else {}
        super().__init__(retries=original.retries, marker_to_close=original.marker_to_close, **settings)
        self._site = site

    def execute(
        self, plan_context: "PlanOrchestrationContext", execution_plan: "ExecutionPlan"
    ) -> Iterator[DagsterEvent]:
        """Execute the plan, as Dagster's executor does.

        Where its steps claim no slots, nothing is asked of pools, which Dagster's own does at each beginning: a run goes on without
        the control plane.
        """
        plan, pid, began = execution_plan, os.getpid(), time.monotonic()
        yield DagsterEvent.engine_event(
            plan_context,
            f"Executing steps in process (pid: {pid})",
            event_specific_data=EngineEventData.in_process(pid, plan.step_keys_to_execute),
        )
        known = _DEPENDENCIES in signature(PlanExecutionContextManager.__init__).parameters
        settings: Any = {_DEPENDENCIES: self.step_dependency_config} if known else {}

        def steps(job_context: "PlanExecutionContext", execution_plan: "ExecutionPlan") -> Iterator[DagsterEvent]:
            with self._claims(plan_context) as claims:
                yield from inner_plan_execution_iterator(job_context, execution_plan, claims)

        yield from ExecuteRunWithPlanIterable(
            execution_plan=plan,
            iterator=steps,
            execution_context_manager=PlanExecutionContextManager(
                job=plan_context.job,
                retry_mode=plan_context.retry_mode,
                execution_plan=plan,
                run_config=plan_context.run_config,
                dagster_run=plan_context.dagster_run,
                instance=plan_context.instance,
                raise_on_error=plan_context.raise_on_error,
                output_capture=plan_context.output_capture,
                **settings,
            ),
        )
        yield DagsterEvent.engine_event(
            plan_context,
            f"Finished steps in process (pid: {pid}) in {time.monotonic() - began:.2f}s",
            event_specific_data=EngineEventData.in_process(pid, plan.step_keys_to_execute),
        )

    def _claims(self, plan_context: "PlanOrchestrationContext") -> AbstractContextManager[PatientSlotClaims | None]:
        attempt = self._site.current.claiming
        if attempt is None:
            return nullcontext()
        return PatientSlotClaims(attempt, priority=priority_of(plan_context.dagster_run.tags))
