"""What is left to do of a run that ended, and how the run that does it is asked for."""

from isthmus.v1.instruction_pb2 import PastOutput, PastRun, RunRequest
from isthmus.v1.telemetry_pb2 import (
    Event,
    RunRef,
    RunStarted,
    StepFailed,
    StepOutput,
    StepSkipped,
    StepStarted,
    StepSucceeded,
)
from isthmus_store.retry.reexecution import PARENT_TAG, ROOT_TAG, Course, past_runs, request_again


def started(*steps: str) -> Event:
    return Event(run_started=RunStarted(step_keys=steps))


def ran(step: str, *, mapping_keys: tuple[str, ...] = ("",), is_good: bool = True) -> list[Event]:
    outputs = [
        Event(step_key=step, step_output=StepOutput(output_name="result", mapping_key=key)) for key in mapping_keys
    ]
    end = (
        Event(step_key=step, step_succeeded=StepSucceeded())
        if is_good
        else Event(step_key=step, step_failed=StepFailed())
    )
    return [Event(step_key=step, step_started=StepStarted()), *(outputs if is_good else ()), end]


def test_what_failed_and_what_never_ran_is_left_in_the_plans_order() -> None:
    course = Course.of([started("a", "b", "c", "d"), *ran("a"), *ran("b", is_good=False), *ran("d")])
    assert course.unfinished() == ["b", "c"]


def test_what_was_skipped_by_choice_is_not_left() -> None:
    skipped = Event(step_key="b", step_skipped=StepSkipped())
    assert Course.of([started("a", "b", "c"), *ran("a"), skipped, *ran("c", is_good=False)]).unfinished() == ["c"]


def test_steps_over_a_dynamic_output_are_left_one_by_one() -> None:
    course = Course.of(
        [
            started("split", "work[?]", "join"),
            *ran("split", mapping_keys=("x", "y", "z")),
            *ran("work[x]"),
            *ran("work[y]", is_good=False),
        ]
    )
    # z never began: the run's process died before.
    assert course.unfinished() == ["work[y]", "work[z]", "join"]


def test_all_steps_over_a_dynamic_output_that_was_not_made_are_left() -> None:
    course = Course.of([started("split", "work[?]", "join"), *ran("split", is_good=False)])
    assert course.unfinished() == ["split", "work[?]", "join"]


def test_the_new_request_tells_of_its_ancestors_and_leaves_out_what_was_the_parents_own() -> None:
    parent = RunRequest(
        run=RunRef(run_id="p", attempt=1),
        job_name="etl",
        run_config_json="{}",
        partition_key="2030",
        tags={"team": "data", "dagster/is_resume_retry": "true", "dagster/backfill": "b"},
        parent_run_id="r",
        root_run_id="r",
        past_runs=[PastRun(run_id="r", outputs=[PastOutput(step_key="a", output_name="result")])],
    )
    course = Course.of([started("b", "c"), *ran("b"), *ran("c", is_good=False)])
    again = request_again(
        parent, run_id="n", step_keys=course.unfinished(), tags={"why": "x"}, past=past_runs(course, parent=parent)
    )
    assert (again.run.run_id, again.parent_run_id, again.root_run_id) == ("n", "p", "r")
    assert (again.job_name, again.run_config_json, again.partition_key) == ("etl", "{}", "2030")
    assert list(again.step_keys) == ["c"]
    assert dict(again.tags) == {"team": "data", "why": "x", PARENT_TAG: "p", ROOT_TAG: "r"}
    assert [(past.run_id, [output.step_key for output in past.outputs]) for past in again.past_runs] == [
        ("p", ["b"]),
        ("r", ["a"]),
    ]


def test_all_steps_again_takes_nothing_over() -> None:
    parent = RunRequest(run=RunRef(run_id="p", attempt=1), job_name="etl")
    again = request_again(parent, run_id="n", step_keys=[], tags={}, past=past_runs(Course(), parent=parent))
    assert (list(again.step_keys), list(again.past_runs), again.root_run_id) == ([], [], "p")
