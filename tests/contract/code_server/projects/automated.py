"""Assets that are executed by conditions: built-in and custom ones, with partitions of each kind, and checks."""

# a user's project, not the product

import dagster as dg
from dagster import AutomationCondition

days = dg.DailyPartitionsDefinition("2026-01-01")
weeks = dg.WeeklyPartitionsDefinition("2025-12-28")
regions = dg.StaticPartitionsDefinition(["north", "south"])
files = dg.DynamicPartitionsDefinition(name="files")
both = dg.MultiPartitionsDefinition({"day": days, "region": regions})


class Now(AutomationCondition):
    """True whenever it is asked, of what is missing."""

    @property
    def description(self) -> str:
        return "it is now"

    def evaluate(self, context):
        return dg.AutomationResult(context, true_subset=context.candidate_subset)


@dg.asset
def root() -> None: ...


@dg.asset(deps=[root], automation_condition=AutomationCondition.eager())
def child(): ...


@dg.asset(deps=[child], automation_condition=AutomationCondition.eager())
def grandchild(): ...


@dg.asset(deps=[root], automation_condition=AutomationCondition.on_cron("0 * * * *"))
def hourly(): ...


@dg.asset(deps=[root], automation_condition=AutomationCondition.on_missing())
def lacking(): ...


@dg.asset(deps=[root], automation_condition=AutomationCondition.missing() & ~AutomationCondition.in_progress())
def impatient(): ...


@dg.asset(automation_condition=AutomationCondition.execution_failed())
def again(): ...


@dg.asset(automation_condition=AutomationCondition.missing() & Now())
def custom(): ...


@dg.asset(partitions_def=days)
def day(): ...


@dg.asset(partitions_def=days, deps=[day], automation_condition=AutomationCondition.eager())
def day_child(): ...


@dg.asset(partitions_def=weeks, deps=[day], automation_condition=AutomationCondition.eager())
def week(): ...


@dg.asset(partitions_def=regions, automation_condition=AutomationCondition.on_missing())
def region(): ...


@dg.asset(
    partitions_def=regions,
    deps=[region],
    automation_condition=AutomationCondition.any_deps_updated() & ~AutomationCondition.in_progress(),
)
def region_child(): ...


@dg.asset(partitions_def=files)
def file(): ...


@dg.asset(partitions_def=files, deps=[file], automation_condition=AutomationCondition.any_deps_updated())
def file_child(): ...


@dg.asset(partitions_def=both)
def cell(): ...


@dg.asset(partitions_def=both, deps=[cell], automation_condition=AutomationCondition.any_deps_updated())
def cell_child(): ...


@dg.multi_asset(
    specs=[
        dg.AssetSpec("left", deps=[root], automation_condition=AutomationCondition.eager()),
        dg.AssetSpec("right", deps=[root]),
    ]
)
def pair():
    yield from ()


@dg.asset_check(asset=root, automation_condition=AutomationCondition.missing())
def is_root(): ...


@dg.asset_check(asset=child, blocking=True)
def is_child(): ...


@dg.asset(
    deps=[child],
    automation_condition=AutomationCondition.any_deps_updated() & AutomationCondition.all_deps_blocking_checks_passed(),
)
def checked(): ...


@dg.observable_source_asset
def outside():
    return dg.DataVersion("1")


@dg.asset(deps=[outside], automation_condition=AutomationCondition.any_deps_updated())
def inside(): ...


@dg.asset(group_name="own", deps=[root])
def defaulted(): ...


@dg.asset(group_name="filled", partitions_def=regions, automation_condition=AutomationCondition.missing())
def shelf(): ...


automatic = dg.AutomationConditionSensorDefinition(
    "automatic",
    target=dg.AssetSelection.all(include_sources=True) - dg.AssetSelection.groups("own", "filled"),
    run_tags={"why": "automatic"},
    emit_backfills=False,
)
filling = dg.AutomationConditionSensorDefinition("filling", target=dg.AssetSelection.groups("filled"))
beside = dg.AutomationConditionSensorDefinition(
    "beside",
    target=dg.AssetSelection.groups("own"),
    use_user_code_server=True,
    default_condition=AutomationCondition.missing(),
)

defs = dg.Definitions(
    assets=[
        root,
        child,
        grandchild,
        hourly,
        lacking,
        impatient,
        again,
        custom,
        day,
        day_child,
        week,
        region,
        region_child,
        file,
        file_child,
        cell,
        cell_child,
        pair,
        checked,
        outside,
        inside,
        defaulted,
        shelf,
    ],
    asset_checks=[is_root, is_child],
    sensors=[automatic, filling, beside],
)
