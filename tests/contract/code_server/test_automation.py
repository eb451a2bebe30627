"""Automation conditions are evaluated tick by tick as Dagster evaluates them, with one question to the control plane."""

import asyncio
import sys
import zlib
from collections.abc import Callable
from hashlib import sha256

import dagster as dg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_code_server.definitions.dagster.described.partitions import partitions_snapshot
from isthmus_code_server.definitions.dagster.evaluated.neighbours import partitions_of
from isthmus_code_server.definitions.port import Definitions, SensorTick
from isthmus_code_server.runs.instance_gate import InstanceGate
from support_automation import Story, check_module, compared, nothing, requested
from support_code_server import Load
from support_instance import attached


@pytest.fixture
def automated(load: Load) -> Definitions:
    return load(module="automated")


async def test_unpartitioned_assets_are_executed_when_dagster_executes_them(
    automated: Definitions, gate: InstanceGate
) -> None:
    story = Story(automated)
    found = await compared(
        gate,
        story,
        [
            nothing,
            lambda it: it.make("root"),
            nothing,
            lambda it: it.make("child"),
            lambda it: it.make("child", "grandchild"),
            lambda it: it.make("root", "child"),
            lambda it: it.wait(hours=1),
            lambda it: it.make("root"),
            nothing,
        ],
    )
    assert ("child", "") in found[1]
    assert ("hourly", "") in found[7]
    assert ("custom", "") in found[0]
    assert {("left", ""), ("right", "")} <= found[1]


async def test_what_a_run_is_about_to_make_is_not_asked_for_again(automated: Definitions, gate: InstanceGate) -> None:
    story, runs = Story(automated), []
    found = await compared(
        gate,
        story,
        [
            nothing,
            lambda it: runs.append(it.plan("impatient", "again")),
            nothing,
            lambda it: it.end(runs[0], "FAILURE"),
            lambda it: runs.append(it.plan("again")),
            lambda it: it.end(runs[1], "SUCCESS"),
        ],
    )
    assert [("impatient", "") in it for it in found] == [True, False, False, True, True, True]
    assert [("again", "") in it for it in found] == [False, False, False, True, False, False]


async def test_partitions_are_executed_when_dagster_executes_them(automated: Definitions, gate: InstanceGate) -> None:
    story = Story(automated)
    found = await compared(
        gate,
        story,
        [
            nothing,
            lambda it: it.make("day", partition="2026-01-07"),
            lambda it: it.make("day", partition="2026-01-02"),
            lambda it: it.make("day_child", partition="2026-01-07"),
            lambda it: [it.make("day", partition=f"2026-01-0{number}") for number in range(1, 7)],
            lambda it: it.wait(days=1),
            lambda it: it.make("region", partition="north"),
            lambda it: it.instance.add_dynamic_partitions("files", ["a", "b"]),
            lambda it: it.make("file", partition="a"),
            lambda it: it.make("region", partition="south"),
            nothing,
        ],
    )
    assert found[1] >= {("day_child", "2026-01-07")}
    assert ("region_child", "north") in found[6]
    assert ("file_child", "a") in found[8]


async def test_what_of_partitions_goes_on_or_failed_is_seen(automated: Definitions, gate: InstanceGate) -> None:
    story, runs = Story(automated), []
    found = await compared(
        gate,
        story,
        [
            lambda it: runs.extend([it.make("region", partition="north"), it.plan("region_child", partition="north")]),
            lambda it: it.end(runs[1], "FAILURE"),
            lambda it: it.make("region", partition="north"),
        ],
    )
    assert [("region_child", "north") in it for it in found] == [False, False, True]


async def test_checks_are_executed_and_heeded_as_dagster_does(automated: Definitions, gate: InstanceGate) -> None:
    def check(*, passed: bool) -> Callable[[Story], None]:
        return lambda it: it.report(
            check_module().AssetCheckEvaluation(
                asset_key=dg.AssetKey("child"),
                check_name="is_child",
                passed=passed,
                metadata={},
                target_materialization_data=it.newest("child"),
            )
        )

    story = Story(automated)
    found = await compared(
        gate,
        story,
        [
            nothing,
            lambda it: it.make("root"),
            lambda it: it.make("child"),
            check(passed=False),
            lambda it: it.make("child"),
            check(passed=True),
            lambda it: (it.make("child"), check(passed=True)(it)),
            lambda it: (it.make("child"), check(passed=False)(it)),
        ],
    )
    assert [("checked", "") in it for it in found] == [False, False, False, False, False, False, True, False]
    assert any(("root:is_root", "") in it for it in found)


async def test_observed_assets_are_looked_at(automated: Definitions, gate: InstanceGate) -> None:
    def observe(version: str) -> Callable[[Story], None]:
        return lambda it: it.report(dg.AssetObservation("outside", tags={"dagster/data_version": version}))

    story = Story(automated)
    found = await compared(gate, story, [nothing, observe("1"), nothing, observe("1"), observe("2")])
    assert [("inside", "") in it for it in found][-1]


async def test_runs_have_the_tags_of_their_sensor_and_one_question_is_asked(
    automated: Definitions, gate: InstanceGate
) -> None:
    story = Story(automated)
    async with gate.listening(), attached(gate, story.world.answer, asked=story.world.asked):
        story.make("root")
        answer = await asyncio.to_thread(story.ours)
    assert story.world.kinds == ["asset_facts"]
    assert {run.tags["why"] for run in answer.runs} == {"automatic"}
    assert {run.tags["dagster/sensor_name"] for run in answer.runs} == {"automatic"}


async def test_several_partitions_at_once_are_a_backfill_where_the_sensor_wants_that(
    automated: Definitions, gate: InstanceGate
) -> None:
    story = Story(automated, sensor="filling")
    async with gate.listening(), attached(gate, story.world.answer, asked=story.world.asked):
        answer = await asyncio.to_thread(story.ours)
    (run,) = answer.runs
    assert [list(it.asset.path) for it in run.backfill.assets] == [["shelf"]]
    assert run.backfill.assets[0].partition_count == 2


async def test_a_sensor_with_a_default_condition_decides_about_assets_without_one(
    automated: Definitions, gate: InstanceGate
) -> None:
    story = Story(automated, sensor="beside")
    async with gate.listening(), attached(gate, story.world.answer, asked=story.world.asked):
        assert requested(await asyncio.to_thread(story.ours)) == {("defaulted", "")}


async def test_nothing_is_executed_of_what_another_location_owns(automated: Definitions, gate: InstanceGate) -> None:
    story = Story(automated, sensor="beside")
    tick = SensorTick()
    tick.automation.owned_elsewhere.add(path=["defaulted"])
    async with gate.listening(), attached(gate, story.world.answer, asked=story.world.asked):
        answer = await asyncio.to_thread(lambda: automated.evaluate_sensor("beside", tick=tick))
    assert list(answer.runs) == []


async def test_each_decision_is_told_with_what_its_condition_came_to(
    automated: Definitions, gate: InstanceGate
) -> None:
    story = Story(automated)
    async with gate.listening(), attached(gate, story.world.answer, asked=story.world.asked):
        first = await asyncio.to_thread(story.ours)
        story.make("region", partition="north")
        changed = await asyncio.to_thread(story.ours)
    told = decisions_of(first)
    trees = {sha256(it.SerializeToString(deterministic=True)).hexdigest(): it for it in told.trees}
    found = {("/".join(it.asset.path), it.check_name): it for it in told.decisions}
    custom = found["custom", ""]
    tree = trees[custom.tree_sha256]
    assert [(it.children, it.operator) for it in tree.nodes] == [(2, "and"), (0, "identity"), (0, "identity")]
    assert "it is now" in {it.description for it in tree.nodes}
    assert [it.true_count for it in custom.nodes] == [1, 1, 1]
    assert ("root", "is_root") in found
    (region,) = [it for it in decisions_of(changed).decisions if list(it.asset.path) == ["region_child"]]
    assert (region.requested.count, [(it.first, it.last) for it in region.requested.ranges]) == (
        1,
        [("north", "north")],
    )


def decisions_of(answer: pb.SensorAnswer) -> pb.AutomationDecisions:
    return pb.AutomationDecisions.FromString(zlib.decompress(answer.decisions_zlib))


@pytest.mark.skipif(
    not hasattr(dg.AutomationCondition, "freshness_failed"), reason="Dagster has no such conditions yet"
)
async def test_conditions_of_freshness_see_what_was_told_of_it(load: Load, gate: InstanceGate) -> None:
    def tell(state: str) -> Callable[[Story], None]:
        from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange

        def each(story: Story) -> None:
            for name in ("late", "nearly_late", "early"):
                change = FreshnessStateChange(
                    key=dg.AssetKey(name),
                    new_state=FreshnessState(state),
                    previous_state=FreshnessState.UNKNOWN,
                    state_change_timestamp=story.now.timestamp(),
                )
                story.instance._report_runless_asset_event(change)

        return each

    story = Story(load(module="automated_fresh"), module="automated_fresh")
    found = await compared(gate, story, [nothing, tell("PASS"), tell("WARN"), tell("FAIL"), tell("UNKNOWN")])
    assert found == [set(), {("early", "")}, {("nearly_late", "")}, {("late", ""), ("below", "")}, set()]


# ---------------------------------------------------------------------------------------------------- across locations

DAYS = pb.PartitionsSnapshot(
    kind="time_window",
    cron_schedule="0 0 * * *",
    format="%Y-%m-%d",
    timezone="UTC",
    start=Timestamp(seconds=1767225600),
)


async def test_an_asset_of_another_location_is_seen_with_its_partitions(load: Load, gate: InstanceGate) -> None:
    story = Story(load(module="automated_afar"), module="automated_afar")
    (up, cell, checked) = (pb.AssetSnapshot(key=pb.AssetKey(path=[name])) for name in ("up", "cell", "checked"))
    up.partitions.CopyFrom(DAYS)
    region = pb.PartitionsSnapshot(kind="static", keys=["north", "south"])
    cell.partitions.CopyFrom(pb.PartitionsSnapshot(kind="multi", dimensions={"day": DAYS, "region": region}))
    checked.checks.add(name="whole", is_blocking=True)
    story.surroundings.neighbours.extend([up, cell, checked])
    found = await compared(
        gate,
        story,
        [
            nothing,
            lambda it: [it.make("up", partition=f"2026-01-0{day}") for day in range(1, 8)],
            lambda it: it.make("up", partition="2026-01-02"),
            lambda it: it.make("cell", partition="2026-01-05|north"),
            lambda it: it.make("checked"),
        ],
    )
    assert {partition for name, partition in found[2] if name == "week"} == {"2025-12-28"}
    assert ("cell_child", "2026-01-05|north") in found[3]
    assert ("after_check", "") not in found[4]


def test_what_a_snapshot_tells_of_partitions_is_what_was_told(load: Load) -> None:
    for name in ("time", "cells", "regions", "files"):
        load(module="automated_afar")
        definition = getattr(sys.modules["automated_afar"], name)
        assert partitions_of(partitions_snapshot(definition)) == definition
    assert partitions_of(pb.PartitionsSnapshot(kind="TheirOwn")) is None
