"""A project that makes facts, and a job that asks about them."""

import json
import os
import time
from pathlib import Path
from typing import Any

import dagster as dg
from inquiry import inquire

DAILY = dg.StaticPartitionsDefinition(["a", "b", "c"])
TENANTS = dg.DynamicPartitionsDefinition(name="tenants")


@dg.asset(code_version="1")
def raw(context: dg.AssetExecutionContext) -> int:
    context.add_output_metadata(
        {
            "rows": 3,
            "share": 0.5,
            "link": dg.MetadataValue.url("https://example.org"),
            "text": dg.MetadataValue.md("*fine*"),
            "json": {"nested": [1, 2]},
            "schema": dg.TableSchema(columns=[dg.TableColumn("id", "int", description="the id")]),
        }
    )
    return 1


@dg.asset(code_version="1")
def refined(raw: int) -> int:
    return raw + 1


@dg.asset_check(asset=raw)
def is_fresh() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, metadata={"age": 1})


@dg.asset_check(asset=refined)
def is_whole() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset(partitions_def=DAILY, code_version="1")
def daily(context: dg.AssetExecutionContext) -> str:
    if context.partition_key == "c":
        raise RuntimeError("c is broken")
    return context.partition_key


@dg.asset(partitions_def=TENANTS, code_version="1")
def tenant_report(context: dg.AssetExecutionContext) -> str:
    assert context.instance.has_dynamic_partition("tenants", context.partition_key)
    return context.partition_key


@dg.op
def look_around(context: dg.OpExecutionContext) -> None:
    context.log_event(dg.AssetObservation("raw", metadata={"seen": "once"}, description="looked at"))
    context.log_event(dg.AssetMaterialization(["outside", "thing"], description="made elsewhere", tags={"by": "hand"}))


@dg.op
def report_without_a_run(context: dg.OpExecutionContext) -> None:
    reported = dg.AssetKey(["outside", "reported"])
    for event in (
        dg.AssetMaterialization(reported, description="told by hand", metadata={"rows": 3}, tags={"by": "hand"}),
        dg.AssetMaterialization(reported, partition="p"),
        dg.AssetObservation(reported, metadata={"seen": "twice"}),
        dg.AssetCheckEvaluation(check_name="is_told", passed=True, asset_key=reported, metadata={"n": 1}),
    ):
        context.instance.report_runless_asset_event(event)


@dg.op
def move_in(context: dg.OpExecutionContext) -> None:
    context.instance.add_dynamic_partitions("tenants", ["acme", "zeta", "gone"])
    context.instance.add_dynamic_partitions("tenants", ["acme"])
    context.instance.delete_dynamic_partition("tenants", "gone")


@dg.op(config_schema={"why": str})
def go_wrong(context: dg.OpExecutionContext) -> None:
    raise ValueError(context.op_config["why"])


@dg.op(config_schema={"path": str})
def ask(context: dg.OpExecutionContext) -> None:
    Path(context.op_config["path"]).write_text(json.dumps(inquire(context.instance)))


@dg.op(config_schema={"path": str})
def read_own_writes(context: dg.OpExecutionContext) -> None:
    """Write facts and ask for them at once, a few times: each must be there."""
    instance = context.instance
    own = dg.AssetKey(["own", context.run_id])
    seen: list[Any] = []
    for number in range(3):
        context.log_event(dg.AssetMaterialization(own, partition=f"p{number}", metadata={"number": number}))
        latest = instance.get_latest_materialization_event(own)
        materialization = latest.asset_materialization if latest else None
        seen.append(materialization.metadata["number"].value if materialization else None)
        seen.append(sorted(instance.get_materialized_partitions(own)))
    instance.add_run_tags(context.run_id, {"added": "by the op"})
    run = instance.get_run_by_id(context.run_id)
    seen.append([run.tags.get("added"), run.status.value] if run else None)
    Path(context.op_config["path"]).write_text(json.dumps(seen))


@dg.asset(config_schema={"gate": str})
def gated(context: dg.AssetExecutionContext) -> int:
    gate = Path(context.op_execution_context.op_config["gate"])
    gate.with_suffix(".waiting").touch()
    while not gate.exists():
        time.sleep(0.02)
    return 1


@dg.asset
def after_gate(gated: int) -> int:
    return gated


@dg.asset
def after_that(after_gate: int) -> int:
    return after_gate


@dg.op(config_schema={"path": str})
def ask_the_unanswerable(context: dg.OpExecutionContext) -> None:
    said = {}
    for name, question in {
        "backfill": lambda: context.instance.get_backfill("nightly"),
        "wipe": lambda: context.instance.wipe_assets([dg.AssetKey("raw")]),
    }.items():
        try:
            said[name] = str(question())
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
            said[name] = f"{type(error).__name__}: {error}"
    Path(context.op_config["path"]).write_text(json.dumps(said))


@dg.job(executor_def=dg.in_process_executor)
def report() -> None:
    report_without_a_run()


@dg.job(executor_def=dg.in_process_executor)
def look() -> None:
    look_around()


@dg.job(executor_def=dg.in_process_executor)
def enroll() -> None:
    move_in()


@dg.job(executor_def=dg.in_process_executor)
def fail() -> None:
    go_wrong()


@dg.job(executor_def=dg.in_process_executor)
def inquiry_job() -> None:
    ask()


@dg.job(executor_def=dg.in_process_executor)
def own_writes() -> None:
    read_own_writes()


@dg.job(executor_def=dg.multiprocess_executor)
def own_writes_in_step_processes() -> None:
    read_own_writes()


@dg.op(config_schema={"gate": str}, out=dg.Out(dg.Nothing))
def pass_gate(context: dg.OpExecutionContext) -> None:
    gate = Path(context.op_config["gate"])
    gate.with_suffix(".waiting").touch()
    while not gate.exists():
        time.sleep(0.02)


@dg.op(ins={"start": dg.In(dg.Nothing)}, config_schema={"path": str})
def ask_after_gate(context: dg.OpExecutionContext) -> None:
    """Ask while nobody can answer, and write down how it went."""
    began_at = time.monotonic()
    try:
        said = str(context.instance.get_latest_materialization_event(dg.AssetKey("raw")))
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
        said = f"{type(error).__name__}: {error}"
    Path(context.op_config["path"]).write_text(json.dumps([said, time.monotonic() - began_at]))


@dg.job(executor_def=dg.in_process_executor)
def ask_in_vain() -> None:
    ask_after_gate(start=pass_gate())


@dg.job(executor_def=dg.in_process_executor)
def unanswerable() -> None:
    ask_the_unanswerable()


@dg.sensor(job=look)
def tenants_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    known = context.instance.get_dynamic_partitions("tenants")
    return dg.SensorResult(
        skip_reason=f"known: {','.join(known)}",
        dynamic_partitions_requests=[TENANTS.build_add_request(["from_the_sensor"])],
    )


in_process: Any = dg.in_process_executor
defs = dg.Definitions(
    assets=[raw, refined, daily, tenant_report, gated, after_gate, after_that],
    asset_checks=[is_fresh, is_whole],
    jobs=[
        dg.define_asset_job("make", ["raw", "refined"], executor_def=in_process),
        dg.define_asset_job("make_daily", ["daily"], executor_def=in_process),
        dg.define_asset_job("make_tenant", ["tenant_report"], executor_def=in_process),
        dg.define_asset_job("make_gated", ["gated", "after_gate", "after_that"], executor_def=in_process),
        look,
        report,
        enroll,
        fail,
        inquiry_job,
        own_writes,
        own_writes_in_step_processes,
        ask_in_vain,
        unanswerable,
    ],
    sensors=[tenants_sensor],
    executor=dg.in_process_executor,
)

#: The history that both sides make: job, partition, config, tags.
HISTORY: list[dict[str, Any]] = [
    {"job_name": "make", "tags": {"team": "blue"}},
    {"job_name": "make_daily", "partition_key": "b"},
    {"job_name": "make_daily", "partition_key": "a", "tags": {"team": "red"}},
    {"job_name": "make_daily", "partition_key": "c"},
    {"job_name": "make_daily", "partition_key": "b"},
    {"job_name": "look"},
    {"job_name": "report"},
    {"job_name": "fail", "run_config": {"ops": {"go_wrong": {"config": {"why": "on purpose"}}}}},
    {"job_name": "enroll"},
    {"job_name": "make_tenant", "partition_key": "acme"},
]


def main() -> None:
    """Make the history on an instance of Dagster's own, in DAGSTER_HOME, and write down its answers."""
    with dg.DagsterInstance.get() as instance:
        for it in HISTORY:
            job: Any = defs.get_job_def(it["job_name"])
            job.execute_in_process(
                instance=instance,
                partition_key=it.get("partition_key"),
                run_config=it.get("run_config"),
                tags=it.get("tags"),
                raise_on_error=False,
            )
        Path(os.environ["ANSWERS"]).write_text(json.dumps(inquire(instance)))


if __name__ == "__main__":
    main()
