"""Jobs that stand in the folder by themselves."""

import dagster as dg


@dg.definitions
def jobs() -> dg.Definitions:
    return dg.Definitions(
        jobs=[
            dg.define_asset_job("priced", selection="group:prices"),
            dg.define_asset_job("breaking", selection="broken"),
        ]
    )
