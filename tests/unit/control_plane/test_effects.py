"""What an answer of a schedule comes to."""

from datetime import UTC, datetime

import pytest
from isthmus.v1.telemetry_pb2 import (
    AssetGraphSubset,
    AssetKey,
    AssetSubset,
    Failure,
    InstructionResult,
    RequestedRun,
    ScheduleAnswer,
)
from isthmus_control_plane.automation import effects
from isthmus_control_plane.automation.effects import RUN_KEY_TAG, Effects
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.validation.definition import Target
from isthmus_store.record.automation import Tick
from isthmus_store.state import TickStatus

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
TICK = Tick(
    id=7,
    instigator_id=1,
    at=NOON,
    status=TickStatus.STARTED,
    attempts=1,
    began_at=NOON,
    ended_at=None,
    run_ids=(),
    skip_reason="",
    failure=b"",
    evaluation=b"",
    cursor="",
)
ORIGIN = effects.of_schedule(LocationKey("default", "sales"), name="nightly", target=Target("load"), tick=TICK)


def of(*runs: RequestedRun) -> Effects:
    result = InstructionResult(outcome=InstructionResult.OUTCOME_SUCCEEDED, schedule=ScheduleAnswer(runs=runs))
    return effects.of_schedule_result(result, origin=ORIGIN)


def test_a_run_key_is_good_for_one_run_of_a_tick() -> None:
    found = of(RequestedRun(run_key="a", tags={"n": "1"}), RequestedRun(run_key="b"), RequestedRun(run_key="a"))
    assert found.status is TickStatus.SUCCESS
    assert [it.request.tags[RUN_KEY_TAG] for it in found.launches] == ["a", "b"]
    assert found.launches[0].request.tags["n"] == "1"


def test_a_backfill_is_wanted_with_the_tags_of_its_tick_and_needs_no_run_key() -> None:
    shelf = AssetSubset(asset=AssetKey(path=["shelf"]), has_partitions=True, partition_count=2)
    wanted = RequestedRun(backfill=AssetGraphSubset(assets=[shelf]), tags={"why": "automatic"})
    found = of(RequestedRun(run_key="a"), wanted, wanted)
    assert (found.status, len(found.launches), len(found.backfills)) == (TickStatus.SUCCESS, 1, 2)
    first, second = found.backfills
    assert first.assets == (shelf,)
    assert {"why": "automatic", "dagster/schedule_name": "nightly"}.items() <= first.tags.items()
    assert first.requested_by == "schedule nightly"
    assert first.backfill_id != second.backfill_id


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([RequestedRun(), RequestedRun(run_key="a")], "not each has a run key of its own"),
    ],
)
def test_what_cannot_be_had_fails_and_says_why(runs: list[RequestedRun], words: str) -> None:
    found = of(*runs)
    assert (found.status, found.launches) == (TickStatus.FAILED, ())
    assert words in Failure.FromString(found.failure).message
