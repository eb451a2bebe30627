"""Snapshots carry what is needed to decide when something is executed, and how."""

from collections.abc import Iterable
from typing import Any

import pytest
from isthmus.v1.telemetry_pb2 import AssetKey, AssetSnapshot, LocationSnapshot
from support_code_server import Load


@pytest.fixture
def defined(load: Load) -> LocationSnapshot:
    return load(module="deciding_assets").describe()


@pytest.fixture
def deciding(load: Load) -> LocationSnapshot:
    return load(module="deciding").describe()


def by_name(items: Iterable[Any], name: str) -> Any:
    return next(item for item in items if item.name == name)


def asset(snapshot: LocationSnapshot, name: str) -> AssetSnapshot:
    return next(one for one in snapshot.assets if "/".join(one.key.path) == name)


def keys(items: Iterable[AssetKey]) -> list[str]:
    return ["/".join(key.path) for key in items]


def test_the_pools_of_a_job_are_told_apart_by_where_its_steps_stand(defined: LocationSnapshot) -> None:
    pooled = by_name(defined.jobs, "pooled")
    assert [(it.pool, it.count) for it in pooled.root_pools] == [("legacy", 1), ("warehouse", 2)]
    assert list(pooled.pools) == ["api", "legacy", "warehouse"]
    assert (pooled.has_unconstrained_root, pooled.has_partition_config, pooled.repository_name) == (
        False,
        False,
        "__repository__",
    )
    half_free = by_name(defined.jobs, "half_free")
    assert (half_free.has_unconstrained_root, half_free.has_partition_config) == (True, True)


def test_how_an_asset_is_filled_is_told(defined: LocationSnapshot) -> None:
    raw, shifted, weekly = (asset(defined, name) for name in ("raw", "shifted", "weekly"))
    assert (raw.backfill_policy.max_partitions_per_run, list(raw.pools)) == (10, ["warehouse"])
    assert (shifted.HasField("backfill_policy"), shifted.backfill_policy.max_partitions_per_run) == (True, 0)
    assert not weekly.HasField("backfill_policy")
    assert raw.is_materializable


def test_which_partitions_a_partition_needs_is_told(defined: LocationSnapshot) -> None:
    (shifted,) = asset(defined, "shifted").dependencies
    mapping = shifted.mapping
    assert (mapping.kind, mapping.start_offset, mapping.end_offset, mapping.is_default) == (
        "time_window",
        -1,
        -1,
        False,
    )
    (weekly,) = asset(defined, "weekly").dependencies
    assert (weekly.mapping.kind, weekly.mapping.is_default) == ("time_window", True)
    elsewhere, raw = asset(defined, "last").dependencies
    assert (keys([raw.asset]), raw.mapping.kind) == (["raw"], "last")
    assert not elsewhere.HasField("mapping")


def test_freshness_is_told_by_type(defined: LocationSnapshot) -> None:
    raw, weekly = asset(defined, "raw").freshness, asset(defined, "weekly").freshness
    if not raw.kind:
        pytest.skip("this version of Dagster has no such policies")
    assert (raw.kind, raw.fail_after_s, raw.warn_after_s) == ("time_window", 86_400, 43_200)
    assert (weekly.kind, weekly.deadline_cron, weekly.lower_bound_s, weekly.timezone) == (
        "cron",
        "0 9 * * *",
        7200,
        "Europe/Berlin",
    )
    assert not asset(defined, "last").HasField("freshness")


def test_conditions_are_told_by_label_and_change_with_what_they_say(defined: LocationSnapshot) -> None:
    shifted = asset(defined, "shifted").automation
    (check,) = asset(defined, "last").checks
    assert (shifted.label, check.automation.label, check.is_blocking) == ("eager", "on_cron(@daily, UTC)", True)
    assert len({shifted.fingerprint, check.automation.fingerprint, ""}) == 3
    assert not asset(defined, "raw").HasField("automation")


def test_what_is_executed_together_is_told(defined: LocationSnapshot) -> None:
    left = asset(defined, "left")
    assert keys(left.execution_set_assets) == ["left", "right"]
    assert [(keys([it.asset]), it.check_name) for it in left.execution_set_checks] == [(["left"], "even")]
    assert not asset(defined, "raw").execution_set_assets


def test_what_is_only_known_by_name_is_told_apart(defined: LocationSnapshot) -> None:
    elsewhere = asset(defined, "elsewhere")
    assert elsewhere.is_stub
    assert [it.name for it in elsewhere.checks] == ["checked_from_afar"]
    outside = asset(defined, "outside")
    assert (outside.is_stub, outside.is_observable, outside.is_materializable) == (False, True, False)
    assert outside.auto_observe_interval_s == 120


def test_a_schedule_tells_its_times_and_what_it_runs(defined: LocationSnapshot, deciding: LocationSnapshot) -> None:
    schedule = by_name(defined.schedules, "several_times")
    assert list(schedule.cron_schedules) == ["0 1 * * *", "30 4 * * 1"]
    assert schedule.tags["team"] == "core"
    assert (schedule.target.job_name, keys(schedule.target.asset_selection)) == (schedule.job_name, ["weekly"])
    plain = by_name(deciding.schedules, "in_new_york")
    assert (plain.timezone, plain.target.job_name, list(plain.target.asset_selection)) == (
        "America/New_York",
        "answering",
        [],
    )


def test_a_sensor_of_automation_tells_what_it_decides_about(defined: LocationSnapshot) -> None:
    sensor = by_name(defined.sensors, "automatic")
    assert (sensor.kind, sensor.minimum_interval_s, sensor.is_running_by_default) == ("automation", 45, True)
    assert keys(sensor.automated_assets) == ["last", "shifted"]
    assert [it.check_name for it in sensor.automated_checks] == ["is_last"]
    assert (dict(sensor.run_tags), sensor.emits_backfills) == ({"why": "automatic"}, True)


def test_a_run_status_sensor_tells_what_wakes_it(deciding: LocationSnapshot) -> None:
    watches = {
        sensor.name: (
            sensor.run_status.status,
            sensor.run_status.event_kind,
            sensor.run_status.is_everywhere,
            [(it.location_name, it.repository_name, it.job_name) for it in sensor.run_status.monitored],
        )
        for sensor in deciding.sensors
        if sensor.kind == "run_status"
    }
    assert watches == {
        "after_any": ("SUCCESS", "run_succeeded", False, []),
        "after_watched": ("SUCCESS", "run_succeeded", False, [("", "", "watched")]),
        "after_failure_elsewhere": ("FAILURE", "run_failed", False, [("elsewhere", "__repository__", "")]),
        "everywhere": ("STARTED", "run_started", True, []),
    }


def test_sensors_of_assets_tell_which(deciding: LocationSnapshot) -> None:
    on_plain, on_several = (by_name(deciding.sensors, name) for name in ("on_plain", "on_several"))
    assert (on_plain.kind, keys(on_plain.monitored_assets)) == ("asset", ["plain"])
    assert (on_several.kind, keys(on_several.monitored_assets)) == ("multi_asset", ["daily", "plain"])


def test_a_sensor_with_a_selection_tells_its_target(deciding: LocationSnapshot) -> None:
    (target,) = by_name(deciding.sensors, "filling").targets
    assert keys(target.asset_selection) == ["daily", "plain", "regional"]
    assert [it.check_name for it in target.check_selection] == ["is_filled"]
