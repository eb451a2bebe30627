"""Fifty assets in five layers, day by day and without partitions, forty of them with conditions."""

# a user's project, not the product

import dagster as dg
from dagster import AutomationCondition

COUNT, ROOTS = 50, 10
days = dg.DailyPartitionsDefinition("2026-01-01")
_CONDITIONS = (
    AutomationCondition.eager,
    lambda: AutomationCondition.on_cron("0 * * * *"),
    AutomationCondition.on_missing,
    lambda: AutomationCondition.any_deps_updated() & ~AutomationCondition.in_progress(),
    lambda: AutomationCondition.eager() | AutomationCondition.newly_missing(),
)


def is_daily(number):
    return number % 5 in (0, 1, 2)


def _asset(number):
    above = [] if number < ROOTS else [f"a{number - ROOTS}", f"a{(number * 7) % (number // ROOTS * ROOTS)}"]

    @dg.asset(
        name=f"a{number}",
        deps=list(dict.fromkeys(above)),
        partitions_def=days if is_daily(number) else None,
        automation_condition=None if number < ROOTS else _CONDITIONS[number % len(_CONDITIONS)](),
    )
    def made(): ...

    return made


assets = [_asset(number) for number in range(COUNT)]
automatic = dg.AutomationConditionSensorDefinition(
    "automatic", target=dg.AssetSelection.assets(*assets), emit_backfills=False
)
defs = dg.Definitions(assets=assets, sensors=[automatic])


def whole():
    import automated_weekly

    return dg.Definitions(assets=[*assets, *automated_weekly.assets])
