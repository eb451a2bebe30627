"""Definitions in a repository, as projects had them before there was `Definitions`."""

import dagster as dg


@dg.op
def give() -> int:
    return 1


@dg.job
def a_job():
    give()


@dg.asset
def an_asset(context: dg.AssetExecutionContext):
    context.log.info(context.run.job_name)
    return 1


@dg.asset_check(asset=an_asset)
def a_check():
    return dg.AssetCheckResult(passed=True)


@dg.repository(default_executor_def=dg.in_process_executor)
def defs():
    return [a_job, an_asset, a_check, dg.define_asset_job("asset_job", [an_asset])]
