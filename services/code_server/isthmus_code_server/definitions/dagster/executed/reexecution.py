"""What a re-execution knows of the runs before it, as Dagster's plan takes it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.v1.instruction_pb2 import PastRun, RunRequest

if TYPE_CHECKING:
    from dagster._core.execution.plan.state import KnownExecutionState, PastExecutionState


def known_state(request: RunRequest) -> "KnownExecutionState | None":
    """Return what the parent runs left behind; None for a run that executes all of its steps."""
    if not request.step_keys:
        return None
    from dagster._core.execution.plan.state import KnownExecutionState

    state = KnownExecutionState(
        dynamic_mappings=_dynamic_mappings(request.past_runs), parent_state=_past_state(request.past_runs)
    )
    return state.update_for_step_selection(list(request.step_keys))


def _past_state(runs: Sequence[PastRun]) -> "PastExecutionState | None":
    """Chain the runs, the youngest first, as Dagster asks them."""
    from dagster._core.execution.plan.outputs import StepOutputHandle
    from dagster._core.execution.plan.state import PastExecutionState

    state: PastExecutionState | None = None
    for run in reversed(runs):
        outputs = {
            StepOutputHandle(output.step_key, output.output_name, output.mapping_key or None) for output in run.outputs
        }
        state = PastExecutionState(run.run_id, outputs, state)
    return state


def _dynamic_mappings(runs: Sequence[PastRun]) -> dict[str, dict[str, list[str]]]:
    """Return the mapping keys of each step's dynamic outputs; what a younger run said of a step stands."""
    mappings: dict[str, dict[str, list[str]]] = {}
    for run in reversed(runs):
        of_run: dict[str, dict[str, list[str]]] = {}
        for output in run.outputs:
            if output.mapping_key:
                of_step = of_run.setdefault(output.step_key, {})
                of_step.setdefault(output.output_name, []).append(output.mapping_key)
        mappings |= of_run
    return mappings
