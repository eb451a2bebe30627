"""The location of the west; its job has the name that the east's has."""

import dagster as dg
from places import PLACES


@dg.asset(deps=[dg.AssetKey("east")])
def west() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"places": PLACES})


@dg.asset_check(asset=west)
def is_west() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=PLACES == ["lisbon"], severity=dg.AssetCheckSeverity.WARN)


defs = dg.Definitions(assets=[west], asset_checks=[is_west], jobs=[dg.define_asset_job("visit")])
