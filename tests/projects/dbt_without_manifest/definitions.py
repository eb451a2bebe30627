"""A dbt project comes without its manifest; what dbt makes of it are the assets, and its tests are their checks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets

SHOP = DbtProject(project_dir=Path(__file__).parent / "shop")
SHOP.prepare_if_dev()


@dbt_assets(manifest=SHOP.manifest_path)
def models(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
    yield from dbt.cli(["build"], context=context).stream().fetch_row_counts().fetch_column_metadata()


defs = dg.Definitions(
    assets=[models],
    # In one process, so that dbt does not have to parse the project for each step once more.
    executor=dg.in_process_executor,
    jobs=[
        dg.define_asset_job("everything", selection=dg.AssetSelection.all() - dg.AssetSelection.assets("wrong")),
        dg.define_asset_job("wrong", selection="wrong"),
    ],
    resources={"dbt": DbtCliResource(project_dir=SHOP)},
)
