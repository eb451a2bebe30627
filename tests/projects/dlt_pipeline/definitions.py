"""dlt loads two tables into DuckDB; a resource of a second source fails while it is read."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import dlt
from dagster_dlt import DagsterDltResource, dlt_assets


@dlt.source
def shop() -> Any:
    @dlt.resource(primary_key="id", write_disposition="replace")
    def orders() -> Iterator[dict[str, Any]]:
        yield from ({"id": number, "amount": number * 10} for number in range(5))

    @dlt.resource(write_disposition="replace")
    def customers() -> Iterator[dict[str, Any]]:
        yield {"name": "ada", "places": [{"city": "paris"}, {"city": "bonn"}]}

    return orders, customers


@dlt.source
def broken() -> Any:
    @dlt.resource
    def torn() -> Iterator[dict[str, Any]]:
        yield {"id": 1}
        raise ValueError("the source ends in the middle")

    return torn


def _pipeline(name: str) -> dlt.Pipeline:
    return dlt.pipeline(name, pipelines_dir=".dlt-pipelines", destination=dlt.destinations.duckdb("shop.duckdb"))


@dlt_assets(dlt_source=shop(), dlt_pipeline=_pipeline("shop"), name="loads")
def loads(context: dg.AssetExecutionContext, dlt: DagsterDltResource) -> Iterator[Any]:
    yield from dlt.run(context=context).fetch_row_count()


@dlt_assets(dlt_source=broken(), dlt_pipeline=_pipeline("broken"), name="tears")
def tears(context: dg.AssetExecutionContext, dlt: DagsterDltResource) -> Iterator[Any]:
    yield from dlt.run(context=context)


defs = dg.Definitions(
    assets=[loads, tears],
    jobs=[dg.define_asset_job("load", selection=[loads]), dg.define_asset_job("tear", selection=[tears])],
    resources={"dlt": DagsterDltResource()},
)
