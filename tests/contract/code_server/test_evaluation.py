"""Schedules and sensors answer what to run."""

import json
from datetime import UTC, datetime

import pytest
from isthmus_code_server.definitions.dagster.values.failure import failure_from_exception
from isthmus_code_server.definitions.port import Definitions, SensorTick
from isthmus_code_server.errors import UnknownDefinitionError

_TICK = datetime(2024, 3, 1, 2, 0, tzinfo=UTC)


def test_a_schedule_asks_for_a_run(jobs: Definitions) -> None:
    answer = jobs.evaluate_schedule("nightly", scheduled_at=_TICK)
    (run,) = answer.runs
    assert (run.run_key, run.job_name) == ("2024-03-01", "configured")
    assert json.loads(run.run_config_json) == {"ops": {"load": {"config": {"limit": 3}}}}
    assert run.tags["day"] == "2024-03-01"
    assert not answer.skip_reason


def test_a_schedule_says_why_it_skips(jobs: Definitions) -> None:
    answer = jobs.evaluate_schedule("skipping", scheduled_at=_TICK)
    assert (list(answer.runs), answer.skip_reason) == ([], "nothing to do")


def test_what_a_schedule_raises_comes_out(jobs: Definitions) -> None:
    with pytest.raises(Exception, match="broken_schedule") as caught:
        jobs.evaluate_schedule("broken_schedule", scheduled_at=_TICK)
    failure = failure_from_exception(caught.value)
    assert (failure.error_class, failure.message) == ("LookupError", "no calendar")


def test_a_sensor_moves_its_cursor_and_gets_resources(jobs: Definitions) -> None:
    answer = jobs.evaluate_sensor("files", tick=SensorTick(cursor="4", last_run_key="k", last_tick_at=_TICK))
    assert answer.cursor == "5"
    (run,) = answer.runs
    assert (run.run_key, run.job_name, run.tags["last"]) == ("here-4", "smallest", "k")


def test_a_sensor_says_why_it_skips(jobs: Definitions) -> None:
    assert jobs.evaluate_sensor("idle", tick=SensorTick()).skip_reason == "no files"


def test_an_unknown_name_is_told(jobs: Definitions) -> None:
    with pytest.raises(UnknownDefinitionError, match="nobody"):
        jobs.evaluate_schedule("nobody", scheduled_at=_TICK)
    with pytest.raises(UnknownDefinitionError, match="nobody"):
        jobs.evaluate_sensor("nobody", tick=SensorTick())
