"""Assets with everything that decides when and how they are executed."""

# a user's project, not the product

from datetime import timedelta
from typing import Any

import dagster as dg

days = dg.DailyPartitionsDefinition("2024-01-01")
weeks = dg.WeeklyPartitionsDefinition("2024-01-01")

fresh: dict[str, Any] = {}
cron_fresh: dict[str, Any] = {}
if hasattr(dg.FreshnessPolicy, "time_window"):
    fresh = {
        "freshness_policy": dg.FreshnessPolicy.time_window(
            fail_window=timedelta(hours=24), warn_window=timedelta(hours=12)
        )
    }
    cron_fresh = {
        "freshness_policy": dg.FreshnessPolicy.cron(
            deadline_cron="0 9 * * *", lower_bound_delta=timedelta(hours=2), timezone="Europe/Berlin"
        )
    }


@dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.multi_run(10), pool="warehouse", **fresh)
def raw() -> None: ...


@dg.asset(
    partitions_def=days,
    deps=[dg.AssetDep(raw, partition_mapping=dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1))],
    backfill_policy=dg.BackfillPolicy.single_run(),
    automation_condition=dg.AutomationCondition.eager(),
)
def shifted() -> None: ...


@dg.asset(partitions_def=weeks, deps=[raw], **cron_fresh)
def weekly() -> None: ...


@dg.asset(deps=[dg.AssetDep(raw, partition_mapping=dg.LastPartitionMapping()), "elsewhere"])
def last() -> None: ...


@dg.multi_asset(
    specs=[dg.AssetSpec("left"), dg.AssetSpec("right")], check_specs=[dg.AssetCheckSpec("even", asset="left")]
)
def both():
    yield from ()


def look() -> dg.DataVersion:
    return dg.DataVersion("1")


outside = dg.SourceAsset("outside", observe_fn=look, auto_observe_interval_minutes=2)


@dg.asset_check(asset=last, blocking=True, automation_condition=dg.AutomationCondition.on_cron("@daily"))
def is_last() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset_check(asset="elsewhere")
def checked_from_afar() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.op(pool="warehouse")
def load() -> int:
    return 1


@dg.op(tags={"dagster/concurrency_key": "legacy"})
def old() -> int:
    return 1


@dg.op(pool="api")
def send(number: int, other: int) -> None: ...


@dg.op
def free() -> None: ...


@dg.job
def pooled() -> None:
    send(load(), load.alias("again")())
    old()


@dg.job(config=dg.static_partitioned_config(["a", "b"])(lambda key: {}))
def half_free() -> None:
    load()
    free()


@dg.schedule(
    cron_schedule=["0 1 * * *", "30 4 * * 1"], target=dg.AssetSelection.assets("weekly"), tags={"team": "core"}
)
def several_times():
    return dg.RunRequest()


automatic = dg.AutomationConditionSensorDefinition(
    "automatic",
    target=dg.AssetSelection.assets("shifted", "last"),
    run_tags={"why": "automatic"},
    minimum_interval_seconds=45,
    default_status=dg.DefaultSensorStatus.RUNNING,
)

defs = dg.Definitions(
    assets=[raw, shifted, weekly, last, both, outside],
    asset_checks=[is_last, checked_from_afar],
    jobs=[pooled, half_free],
    schedules=[several_times],
    sensors=[automatic],
)
