"""Definitions that a function makes when the project is loaded."""

import dagster as dg


@dg.asset
def an_asset(context: dg.AssetExecutionContext):
    context.log.info(context.run.job_name)
    return 1


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(
        assets=[an_asset],
        jobs=[dg.define_asset_job("asset_job", [an_asset], tags={"made": "lazily"})],
        executor=dg.in_process_executor,
    )
