"""Dagster's builders, used as code and within ops; steps that a launcher of their own starts; values kept by paths and partitions."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.execution.plan.external_step import local_external_step_launcher
from upath import UPath

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-03")


class JsonFiles(dg.UPathIOManager):
    extension = ".json"

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:
        path.write_text(json.dumps(obj))

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:
        return json.loads(path.read_text())

    def get_metadata(self, context: dg.OutputContext, obj: Any) -> dict[str, dg.MetadataValue]:
        return {"rows": dg.MetadataValue.int(len(obj))}


@dg.io_manager(config_schema={"base": str})
def json_files(context: dg.InitResourceContext) -> JsonFiles:
    return JsonFiles(base_path=UPath(context.resource_config["base"]))


@dg.asset(partitions_def=DAYS, io_manager_key="files")
def sales(context: dg.AssetExecutionContext) -> list[int]:
    return [1, int(context.partition_key[-1])]


@dg.asset(io_manager_key="files")
def summary(context: dg.AssetExecutionContext, sales: dict[str, list[int]]) -> dg.Output[list[int]]:
    context.log.info(f"{sorted(sales)}")
    schema = dg.TableSchema(columns=[dg.TableColumn("rows", "int")])
    return dg.Output([len(sales)], metadata={"dagster/column_schema": schema, "total": 6})


CHECKS = [
    *dg.build_last_update_freshness_checks(assets=[summary], lower_bound_delta=timedelta(hours=1)),
    *dg.build_time_partition_freshness_checks(assets=[sales], deadline_cron="0 9 * * *"),
    *dg.build_metadata_bounds_checks(assets=[summary], metadata_key="total", min_value=1, max_value=5),
    *dg.build_column_schema_change_checks(assets=[summary]),
]


class Shop(dg.ConfigurableResource[Any]):
    name: str

    def greet(self) -> str:
        return f"welcome to {self.name}"


@dg.op
def add(context: dg.OpExecutionContext, number: int) -> int:
    return number + int(context.op_config["more"])


@dg.op
def greet(shop: Shop) -> str:
    return shop.greet()


@dg.asset
def inner(shop: Shop) -> str:
    return shop.greet()


@dg.job(executor_def=dg.in_process_executor, resource_defs={"shop": Shop(name="within")})
def nested() -> None:
    greet()


@dg.sensor(job=nested)
def watching(context: dg.SensorEvaluationContext) -> dg.RunRequest:
    return dg.RunRequest(run_key=context.cursor)


@dg.schedule(cron_schedule="@daily", job=nested)
def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    return dg.RunRequest(tags={"at": context.scheduled_execution_time.isoformat()})


@dg.multi_asset_sensor(monitored_assets=[dg.AssetKey("summary")], job=nested)
def after_summary(context: dg.MultiAssetSensorEvaluationContext) -> dg.SkipReason | None:
    return dg.SkipReason(f"{len(context.latest_materialization_records_by_key())} looked at")


@dg.op
def build(context: dg.OpExecutionContext) -> None:
    shop = Shop(name="corner")
    said = [
        add(dg.build_op_context(op_config={"more": 2}), 1),
        greet(shop=shop),
        inner(shop=shop),
        watching(dg.build_sensor_context(cursor="7")).run_key,
        daily(dg.build_schedule_context(scheduled_execution_time=datetime(2026, 1, 1, tzinfo=UTC))).tags["at"],
        nested.execute_in_process().output_for_node("greet"),
        dg.materialize([inner], resources={"shop": shop}).output_for_node("inner"),
    ]
    with dg.build_resources({"shop": shop}) as resources:
        said.append(resources.shop.greet())
    with dg.DagsterInstance.ephemeral() as instance:
        sensing = dg.build_multi_asset_sensor_context(
            monitored_assets=[dg.AssetKey("summary")], instance=instance, definitions=defs
        )
        said.append(str(after_summary(sensing)))
    context.log.info(json.dumps(said))


@dg.job(executor_def=dg.in_process_executor)
def building() -> None:
    build()


@dg.op(required_resource_keys={"step_launcher"})
def launch(context: dg.OpExecutionContext) -> int:
    context.log.info(Path(sys.argv[0]).stem)
    return 2


@dg.op(required_resource_keys={"step_launcher"})
def fail(number: int) -> None:
    raise ValueError(f"{number} is one too many")


@dg.job(
    executor_def=dg.in_process_executor,
    resource_defs={
        "step_launcher": local_external_step_launcher.configured({"scratch_dir": "scratch"}),
        "io_manager": dg.fs_io_manager.configured({"base_dir": "values"}),
    },
)
def launching() -> None:
    fail(launch())


defs = dg.Definitions(
    assets=[sales, summary],
    asset_checks=CHECKS,
    executor=dg.in_process_executor,
    jobs=[
        building,
        launching,
        nested,
        dg.define_asset_job("sell", selection=[sales]),
        dg.define_asset_job("summarize", selection=[summary]),
    ],
    schedules=[daily],
    sensors=[
        watching,
        after_summary,
        dg.build_sensor_for_freshness_checks(freshness_checks=CHECKS[:2]),
    ],
    resources={"files": json_files.configured({"base": "kept"})},
)
