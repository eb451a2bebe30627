"""Values are kept as a table of parquet files, one for each partition, with a log of versions that a lock guards."""

import fcntl
import json
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-03")


class TableIOManager(dg.ConfigurableIOManager):
    """A table is a folder; each write is a new version, and readers read the newest of each partition."""

    base: str

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame) -> None:
        table = Path(self.base, *context.asset_key.path)
        table.mkdir(parents=True, exist_ok=True)
        part = context.partition_key if context.has_partition_key else "all"
        with (table / "_lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            log = self._log(table)
            version = sum(len(files) for files in log.values())
            name = f"{part}-{version}.parquet"
            obj.to_parquet(table / name)
            log.setdefault(part, []).append(name)
            (table / "_log.json").write_text(json.dumps(log))
        context.add_output_metadata(
            {
                "version": version,
                "rows": len(obj),
                "dagster/partition_row_count": len(obj),
                "schema": dg.TableSchema(
                    columns=[dg.TableColumn(name, str(kind)) for name, kind in obj.dtypes.items()]
                ),
            }
        )

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        table = Path(self.base, *context.asset_key.path)
        log = self._log(table)
        wanted = context.asset_partition_keys if context.has_asset_partitions else list(log)
        return pd.concat([pd.read_parquet(table / log[part][-1]) for part in wanted])

    @staticmethod
    def _log(table: Path) -> dict[str, Any]:
        file = table / "_log.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}


@dg.asset(partitions_def=DAYS, metadata={"partition_expr": "day"}, io_manager_key="tables")
def events(context: dg.AssetExecutionContext) -> pd.DataFrame:
    return pd.DataFrame({"day": [context.partition_key] * 3, "amount": [1, 2, 3]})


@dg.asset(partitions_def=DAYS, io_manager_key="tables")
def totals(events: pd.DataFrame) -> pd.DataFrame:
    return events.groupby("day", as_index=False).sum()


@dg.asset(io_manager_key="tables", key_prefix=["shop"])
def summary(totals: pd.DataFrame) -> pd.DataFrame:
    return totals.describe().reset_index()


@dg.asset_check(asset=["shop", "summary"])
def has_rows(summary: pd.DataFrame) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=len(summary) > 0, metadata={"rows": len(summary)})


defs = dg.Definitions(
    assets=[events, totals, summary],
    asset_checks=[has_rows],
    jobs=[
        dg.define_asset_job("daily", selection=[events, totals]),
        dg.define_asset_job("summing", selection=[summary]),
    ],
    resources={"tables": TableIOManager(base="tables")},
)
