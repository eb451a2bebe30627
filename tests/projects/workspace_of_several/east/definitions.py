"""The location of the east."""

from pathlib import Path

import dagster as dg
from places import PLACES


@dg.asset(metadata={"places": len(PLACES)})
def east(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log.info(f"where {sorted(path.name for path in Path.cwd().glob('*.yaml'))} lies")
    return dg.MaterializeResult(metadata={"places": PLACES})


defs = dg.Definitions(assets=[east], jobs=[dg.define_asset_job("visit")])
