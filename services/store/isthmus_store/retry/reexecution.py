"""What is left to do of a run that ended, told by its events; no I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from isthmus.v1.instruction_pb2 import PastOutput, PastRun, RunRequest
from isthmus.v1.telemetry_pb2 import Event, RunRef

#: The kinds of events that `Course.of` needs.
KINDS = frozenset(
    {
        "run_started",
        "run_failed",
        "step_started",
        "step_restarted",
        "step_succeeded",
        "step_failed",
        "step_skipped",
        "step_output",
    }
)

PARENT_TAG = "dagster/parent_run_id"
ROOT_TAG = "dagster/root_run_id"
RESUME_TAG = "dagster/is_resume_retry"
STEPS_TAG = "dagster/step_selection"
#: What Dagster does not hand on from a run to the one that re-executes it.
_OWN_TAGS = frozenset(
    {
        RESUME_TAG,
        STEPS_TAG,
        "dagster/run_metrics",
        ".dagster/run_metrics",
        "dagster/failure_reason",
        "dagster/retry_number",
        "dagster/will_retry",
        "dagster/auto_retry_run_id",
        "dagster/backfill",
        "dagster/parent_backfill_id",
        "dagster/root_backfill_id",
    }
)
_UNRESOLVED = "[?]"


@dataclass(slots=True)
class Course:
    """How far the steps of a run came."""

    #: In the plan's order; empty when the run never started.
    planned: list[str] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    succeeded: set[str] = field(default_factory=set)
    #: Because what they would have worked on was not made: by choice, not by failure.
    skipped: set[str] = field(default_factory=set)
    outputs: list[PastOutput] = field(default_factory=list)
    #: The step whose failure was the run's; empty for none.
    failed_step: str = ""

    @classmethod
    def of(cls, events: Iterable[Event]) -> "Course":
        """Read the events of a run's last attempt, in order."""
        course = cls()
        for event in events:
            course._note(event)
        return course

    def _note(self, event: Event) -> None:
        match event.WhichOneof("body"):
            case "run_started":
                self.planned = list(event.run_started.step_keys)
            case "run_failed":
                self.failed_step = event.run_failed.step_key
            case "step_started" | "step_restarted" | "step_failed":
                self.begun.add(event.step_key)
            case "step_succeeded":
                self.succeeded.add(event.step_key)
            case "step_skipped":
                self.skipped.add(event.step_key)
            case "step_output":
                told = event.step_output
                self.outputs.append(
                    PastOutput(step_key=event.step_key, output_name=told.output_name, mapping_key=told.mapping_key)
                )
            case _:
                pass

    def unfinished(self) -> list[str]:
        """Return the steps that failed or never ran, in the plan's order; steps of dynamic outputs one by one."""
        return [key for planned in self.planned for key in self._unfinished_of(planned)]

    def _unfinished_of(self, planned: str) -> list[str]:
        if _UNRESOLVED not in planned:
            return [] if planned in self.succeeded | self.skipped else [planned]
        resolved = self._resolved(planned)
        if not resolved:
            # What it maps over was not made, or nothing was in it.
            return [] if planned in self.skipped else [planned]
        return [key for key in resolved if key not in self.succeeded | self.skipped]

    def _resolved(self, planned: str) -> list[str]:
        """Return the steps that a step over a dynamic output became."""
        head, tail = planned.split(_UNRESOLVED, maxsplit=1)
        ran = {key for key in self.begun | self.succeeded | self.skipped if _is_resolved(key, head=head, tail=tail)}
        sources = {output.step_key for output in self.outputs if output.mapping_key}
        if len(sources) == 1:
            # Those that the run's end kept from beginning; with several sources it is not known which is whose.
            ran |= {f"{head}[{output.mapping_key}]{tail}" for output in self.outputs if output.mapping_key}
        return sorted(ran)


def past_runs(course: Course, *, parent: RunRequest) -> list[PastRun]:
    """Return what the parent left behind, and what it had been told of its own parents."""
    own = PastRun(run_id=parent.run.run_id, outputs=course.outputs)
    return [own, *parent.past_runs]


def request_again(
    parent: RunRequest, *, run_id: str, step_keys: Iterable[str], tags: dict[str, str], past: Iterable[PastRun]
) -> RunRequest:
    """Return the request that does again what the parent did, or some of its steps.

    Args:
        parent: What the parent was asked for.
        run_id: The new run's id.
        step_keys: The steps; empty for those of the parent.
        tags: Added to the parent's, over them.
        past: Where the inputs of the steps come from.
    """
    again = RunRequest()
    again.CopyFrom(parent)
    again.run.CopyFrom(RunRef(run_id=run_id, attempt=1))
    again.parent_run_id = parent.run.run_id
    again.root_run_id = parent.root_run_id or parent.run.run_id
    keys, told = list(step_keys), list(past)
    if keys:
        again.step_keys[:] = keys
    if keys or again.step_keys:
        del again.past_runs[:]
        again.past_runs.extend(told)
    inherited = inherited_tags(parent.tags)
    again.tags.clear()
    again.tags.update(inherited | tags | {PARENT_TAG: again.parent_run_id, ROOT_TAG: again.root_run_id})
    return again


def inherited_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return those of a run's tags that the run has, too, which re-executes it."""
    return {key: value for key, value in tags.items() if key not in _OWN_TAGS}


def _is_resolved(key: str, *, head: str, tail: str) -> bool:
    inner = key[len(head) : len(key) - len(tail)]
    return key.startswith(head) and key.endswith(tail) and inner.startswith("[") and inner.endswith("]")
