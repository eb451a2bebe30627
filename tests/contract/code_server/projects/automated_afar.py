"""Assets that depend on those of another location; and what Dagster would see if both were one."""

# a user's project, not the product

import dagster as dg
from dagster import AutomationCondition

days = dg.DailyPartitionsDefinition("2026-01-01")
time = dg.TimeWindowPartitionsDefinition(
    cron_schedule="0 3 * * *", start="2026-01-01", fmt="%Y-%m-%d", timezone="Europe/Berlin", end_offset=1
)
weeks = dg.WeeklyPartitionsDefinition("2025-12-28")
regions = dg.StaticPartitionsDefinition(["north", "south"])
files = dg.DynamicPartitionsDefinition(name="files")
cells = dg.MultiPartitionsDefinition({"day": days, "region": regions})


@dg.asset(
    partitions_def=weeks,
    deps=["up"],
    automation_condition=AutomationCondition.any_deps_updated() & ~AutomationCondition.any_deps_missing(),
)
def week(): ...


@dg.asset(partitions_def=cells, deps=["cell"], automation_condition=AutomationCondition.any_deps_updated())
def cell_child(): ...


@dg.asset(
    deps=["checked"],
    automation_condition=AutomationCondition.any_deps_updated() & AutomationCondition.all_deps_blocking_checks_passed(),
)
def after_check(): ...


@dg.asset_check(asset="checked", name="whole", blocking=True)
def whole_check(): ...


assets = [week, cell_child, after_check]
automatic = dg.AutomationConditionSensorDefinition(
    "automatic", target=dg.AssetSelection.assets(*assets), emit_backfills=False
)
defs = dg.Definitions(assets=assets, sensors=[automatic])


def whole():
    return dg.Definitions(
        assets=[
            *assets,
            dg.AssetSpec("up", partitions_def=days),
            dg.AssetSpec("cell", partitions_def=cells),
            dg.AssetSpec("checked"),
        ],
        asset_checks=[whole_check],
    )
