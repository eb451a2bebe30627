"""A lookup table is made with polars when the module is imported; assets use polars, too."""

import io

import dagster as dg
import polars as pl

RATES = (
    pl.read_csv(io.StringIO("code,rate\n" + "\n".join(f"c{number},{number}" for number in range(2000))))
    .group_by("code")
    .agg(pl.col("rate").sum())
)


def height() -> int:
    frame = pl.DataFrame({"code": [f"c{number % 50}" for number in range(200_000)], "n": range(200_000)})
    return frame.lazy().join(RATES.lazy(), on="code").group_by("code").agg(pl.col("n").sum()).collect().height


@dg.asset
def totals() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"height": height()})


@dg.op
def count(context: dg.OpExecutionContext) -> None:
    context.log.info(f"{height()} codes")


@dg.job(executor_def=dg.in_process_executor)
def counted() -> None:
    count()


defs = dg.Definitions(assets=[totals], jobs=[dg.define_asset_job("sums"), counted])
