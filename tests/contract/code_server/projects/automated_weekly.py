"""What is made week by week, and of all days, of another location's fifty assets."""

# a user's project, not the product

import dagster as dg
from dagster import AutomationCondition

weeks = dg.WeeklyPartitionsDefinition("2025-12-28")
_IS_COMPLETE = ~AutomationCondition.any_deps_missing() & ~AutomationCondition.in_progress()


@dg.asset(partitions_def=weeks, deps=["a0"], automation_condition=AutomationCondition.any_deps_updated() & _IS_COMPLETE)
def week_of_a_root(): ...


@dg.asset(partitions_def=weeks, deps=["a10", "a11"], automation_condition=AutomationCondition.eager())
def week_of_two(): ...


@dg.asset(partitions_def=weeks, deps=[week_of_a_root], automation_condition=AutomationCondition.eager())
def week_below(): ...


@dg.asset(deps=["a3", "a13"], automation_condition=AutomationCondition.eager())
def whole_of_two(): ...


@dg.asset(deps=["a1"], automation_condition=AutomationCondition.any_deps_updated())
def whole_of_days(): ...


assets = [week_of_a_root, week_of_two, week_below, whole_of_two, whole_of_days]
automatic = dg.AutomationConditionSensorDefinition(
    "automatic", target=dg.AssetSelection.assets(*assets), emit_backfills=False
)
defs = dg.Definitions(assets=assets, sensors=[automatic])


def whole():
    import automated_fifty

    return dg.Definitions(assets=[*assets, *automated_fifty.assets])
