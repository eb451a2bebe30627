"""What a run did, told by its events: state, lines, and what runs now."""

from datetime import UTC, datetime

import pytest
from isthmus.v1.control_plane_pb2 import Run, RunState, RunUpdate
from isthmus.v1.telemetry_pb2 import (
    AssetCheckEvaluated,
    AssetKey,
    CheckSeverity,
    Cut,
    Event,
    Failure,
    LogMessage,
    RunReason,
    RunRef,
    RunStarted,
    StepFailed,
    StepInput,
    StepOutput,
    StepRestarted,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepUpForRetry,
)
from isthmus_cli.terminal import terminal_line
from isthmus_cli.view.event import event_lines
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.run import ending_lines
from isthmus_cli.view.timeline import RunTimeline
from isthmus_cli.watch import live_lines, update_lines

PLAIN = Paint(is_colored=False)


def at(second: float, event: Event) -> RunUpdate:
    event.occurred_at.FromNanoseconds(int(second * 1e9))
    return RunUpdate(position=1, event=event)


def started(step: str) -> Event:
    return Event(step_key=step, step_started=StepStarted())


def failed(step: str) -> Event:
    return Event(
        step_key=step, step_failed=StepFailed(failure=Failure(error_class="ValueError", message=f"bad {step}"))
    )


def lines_of(event: Event, *, took_s: float | None = None) -> list[str]:
    return [line[10:] for line in event_lines(event, took_s=took_s, paint=PLAIN)]


def test_what_was_cut_out_of_an_event_is_named_with_the_way_to_it() -> None:
    cuts = [Cut(field="step_output.metadata[x]", size_bytes=20_000_000, sha256="ab", is_kept=True), Cut(field="y")]
    told = lines_of(Event(run=RunRef(run_id="r1", attempt=1), step_output=StepOutput(), cuts=cuts))
    assert told == ["  cut: step_output.metadata[x], 20 MB in all: isthmus run logs r1 --value ab"]


def test_a_steps_duration_is_its_own_word_or_the_time_between_its_events() -> None:
    timeline = RunTimeline()
    timeline.apply(at(1, started("a")))
    timeline.apply(at(1, started("b")))
    said = Event(step_key="a", step_succeeded=StepSucceeded(duration_s=0.5))
    assert timeline.apply(at(3, said)) == 0.5
    assert timeline.apply(at(3.5, failed("b"))) == 2.5
    assert timeline.apply(at(4, Event(step_key="c", step_skipped=StepSkipped()))) is None
    assert (timeline.succeeded, set(timeline.failed), timeline.skipped) == ({"a"}, {"b"}, {"c"})
    assert timeline.ended_steps == 3


def test_a_retried_step_runs_once_more() -> None:
    timeline = RunTimeline()
    timeline.apply(at(1, started("a")))
    timeline.apply(at(2, Event(step_key="a", step_up_for_retry=StepUpForRetry())))
    assert not timeline.running
    timeline.apply(at(3, Event(step_key="a", step_restarted=StepRestarted(retry_number=1))))
    timeline.apply(at(3, Event(step_key="a", step_succeeded=StepSucceeded(duration_s=0.1))))
    assert (timeline.running, timeline.ended_steps) == ({}, 1)


def test_a_new_attempt_begins_anew() -> None:
    timeline = RunTimeline()
    timeline.apply(at(1, failed("a")))
    timeline.apply(at(2, Event(run_started=RunStarted(step_keys=["a"]))))
    assert (timeline.failed, timeline.ended_steps) == ({}, 0)


def test_the_live_part_names_what_runs_and_does_not_fill_the_screen() -> None:
    timeline = RunTimeline()
    timeline.apply(RunUpdate(run=Run(state=RunState.RUN_STATE_RUNNING)))
    keys = [f"step_{number}" for number in range(11)]
    timeline.apply(at(100, Event(run_started=RunStarted(step_keys=keys))))
    for key in keys:
        timeline.apply(at(100, started(key)))
    shown = live_lines(timeline, now=datetime.fromtimestamp(102.5, tz=UTC))
    assert len(shown) == 10
    assert "step_0" in shown[0]
    assert "2.5 s" in shown[0]
    assert "and 3 more steps" in shown[8]
    assert "0 of 11 steps" in shown[9]


def test_why_a_run_waits_is_told_once_and_again_when_it_changes() -> None:
    timeline, told = RunTimeline(), []
    for message in ("no agent", "no agent", "agent is loading"):
        update = RunUpdate(run=Run(state=RunState.RUN_STATE_QUEUED, message=message))
        told += update_lines(update, timeline=timeline, paint=PLAIN, is_live=False)
    assert told == ["waiting: no agent", "waiting: agent is loading"]


def test_starts_of_steps_are_left_to_the_live_part() -> None:
    for is_live, count in ((True, 0), (False, 1)):
        lines = update_lines(at(1, started("a")), timeline=RunTimeline(), paint=PLAIN, is_live=is_live)
        assert len(lines) == count


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (started("load"), ["▸ load"]),
        (failed("load"), ["✗ load  ValueError: bad load"]),
        (Event(step_key="load", step_skipped=StepSkipped()), ["- load  skipped"]),
        (Event(step_key="load", step_input=StepInput(input_name="x")), []),
        (Event(message="seen", log_message=LogMessage(level=10)), []),
        (Event(message="seen\nall", log_message=LogMessage(level=20)), ["  INFO seen", "  all"]),
        (Event(step_key="load", message="hm", log_message=LogMessage(level=30)), ["  WARNING load: hm"]),
        (
            Event(
                asset_check_evaluated=AssetCheckEvaluated(
                    asset=AssetKey(path=["a"]), check_name="c", severity=CheckSeverity.CHECK_SEVERITY_WARN
                )
            ),
            ["  warned check c of a"],
        ),
        (Event(), []),
    ],
)
def test_each_event_has_its_lines(event: Event, lines: list[str]) -> None:
    assert lines_of(event) == lines


def test_of_many_failed_steps_three_are_told_whole_and_the_others_named() -> None:
    timeline = RunTimeline()
    timeline.apply(RunUpdate(run=Run(state=RunState.RUN_STATE_FAILED, message="5 steps failed")))
    for key in "abcde":
        timeline.apply(at(1, failed(key)))
    text = "\n".join(ending_lines(timeline, paint=PLAIN))
    assert text.count("ValueError: bad") == 3
    assert "And 2 more steps failed: d, e" in text
    assert "FAILED: 5 steps failed" in text


def test_colours_are_for_terminals_only() -> None:
    painted = Paint(is_colored=True).run_state(RunState.RUN_STATE_FAILED)
    assert terminal_line(painted, is_colored=True) == "\x1b[31mFAILED\x1b[0m"
    assert terminal_line(painted, is_colored=False) == "FAILED"
    assert PLAIN.run_state(RunState.RUN_STATE_FAILED) == "FAILED"


def test_a_check_that_only_warns_is_no_failure() -> None:
    timeline = RunTimeline()
    for severity in (CheckSeverity.CHECK_SEVERITY_WARN, CheckSeverity.CHECK_SEVERITY_ERROR):
        check = AssetCheckEvaluated(asset=AssetKey(path=["a"]), check_name="c", severity=severity)
        timeline.apply(at(1, Event(asset_check_evaluated=check)))
    timeline.apply(RunUpdate(run=Run(state=RunState.RUN_STATE_SUCCEEDED)))
    assert ending_lines(timeline, paint=PLAIN) == ["SUCCEEDED · 1 warned check · 1 failed check"]


def test_a_refused_request_is_explained_by_its_fields() -> None:
    run = Run(state=RunState.RUN_STATE_FAILED, reason=RunReason.RUN_REASON_INVALID_REQUEST)
    run.violations.add(field="partition_key", description="name the partition")
    timeline = RunTimeline(run=run)
    assert ending_lines(timeline, paint=PLAIN) == [
        "",
        "  ✗ --partition: name the partition",
        "",
        "FAILED: INVALID_REQUEST: --partition: name the partition",
    ]
