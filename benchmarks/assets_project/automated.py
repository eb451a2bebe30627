"""As many assets with conditions as are asked for, a tenth of them roots: a third each eager, on cron, and when missing."""

import os

import dagster as dg

_COUNT = int(os.environ.get("BENCH_ASSETS", "50"))
_ROOTS = max(_COUNT // 10, 1)
_LAYERS = 5
_CONDITIONS = (
    dg.AutomationCondition.eager,
    lambda: dg.AutomationCondition.on_cron("@daily"),
    dg.AutomationCondition.on_missing,
)


def _asset(number: int) -> dg.AssetsDefinition:
    layer = (_COUNT - _ROOTS) // _LAYERS or 1
    above = number % _ROOTS if number < _ROOTS + layer else number - layer

    @dg.asset(
        name=f"a{number}",
        deps=[] if number < _ROOTS else [f"a{above}"],
        automation_condition=None if number < _ROOTS else _CONDITIONS[number % len(_CONDITIONS)](),
    )
    def made() -> None: ...

    return made


automatic = dg.AutomationConditionSensorDefinition(
    "automatic", target="*", default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=3600
)
defs = dg.Definitions(assets=[_asset(number) for number in range(_COUNT)], sensors=[automatic])
