"""Ops that look at what surrounds them: the repository, the run, the instance, and other processes that open it."""

import logging
import os
import pickle
import subprocess
import sys

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._serdes import deserialize_value, pack_value, serialize_value

OTHER_PROCESS = """
import sys
from dagster import DagsterInstance
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import deserialize_value

job = deserialize_value(sys.argv[1], ReconstructableJob).get_definition()
with DagsterInstance.from_ref(deserialize_value(sys.argv[2], InstanceRef)) as instance:
    print(job.name, [node.name for node in job.nodes], instance.is_persistent, end="")
"""


FROM_THE_VAULT = os.environ.get("FROM_THE_VAULT", "")

library = logging.getLogger("my_library")


@dg.op
def logs_in_many_ways(context: dg.OpExecutionContext) -> None:
    library.warning("a library warns")
    library.debug("a library whispers")
    context.log.info("the op is at work")
    context.log.warning("the op warns")


@dg.job(executor_def=dg.in_process_executor)
def logging_in_many_ways() -> None:
    logs_in_many_ways()


@dg.op
def not_selected() -> None: ...


@dg.static_partitioned_config(["a", "b"], tags_for_partition_key_fn=lambda key: {"of_partition": key.upper()})
def by_letter(key: str) -> dict[str, object]:
    del key
    return {}


@dg.job(executor_def=dg.in_process_executor, config=by_letter, tags={"team": "core", "tier": "1"})
def tagged() -> None:
    not_selected()


@dg.asset
def census(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    repository = context.repository_def
    keys = repository.asset_graph.get_all_asset_keys()
    return dg.MaterializeResult(metadata={"repository": repository.name, "assets": len(list(keys))})


@dg.asset
def stored() -> int:
    return 1


@dg.op
def opened_elsewhere(context: dg.OpExecutionContext) -> None:
    job = context.get_step_execution_context().job
    assert isinstance(job, ReconstructableJob)
    traveling = ReconstructableJob.from_dict(job.to_dict())
    assert pickle.loads(pickle.dumps(job)) == traveling
    reference = context.instance.get_ref()
    pack_value(reference)
    words = [serialize_value(traveling), serialize_value(reference)]
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OTHER_PROCESS, *words], check=True, capture_output=True, text=True
    )
    context.log.info(out.stdout)


@dg.job(executor_def=dg.in_process_executor)
def opening() -> None:
    opened_elsewhere()
    not_selected()


@dg.op
def own_run(context: dg.OpExecutionContext) -> None:
    run = context.run
    whole = context.repository_def.get_job("looking_at_itself").get_job_snapshot_id()
    context.log.info(f"a snapshot {len(run.job_snapshot_id or '') == len(whole)}")
    # The run is written down, as for a notebook, and changes, as with its status.
    written = deserialize_value(serialize_value(run), dg.DagsterRun)
    context.log.info(f"written {type(written) is dg.DagsterRun} {written.run_id == run.run_id}")
    # And sent elsewhere, as by a step launcher.
    sent = pickle.loads(pickle.dumps(run))
    context.log.info(f"sent {type(sent) is dg.DagsterRun} {sent.job_snapshot_id == run.job_snapshot_id}")
    context.log.info(f"kept {run.with_status(dg.DagsterRunStatus.SUCCESS).job_snapshot_id == run.job_snapshot_id}")


@dg.job(executor_def=dg.in_process_executor)
def looking_at_itself() -> None:
    own_run()


@dg.multi_asset_sensor(monitored_assets=[dg.AssetKey("census")], job=opening)
def any_news(context: dg.MultiAssetSensorEvaluationContext) -> dg.SkipReason:
    return dg.SkipReason(f"persistent {context.instance.is_persistent}, of {context.repository_def.name}")


defs = dg.Definitions(
    assets=[census, stored],
    jobs=[opening, looking_at_itself, logging_in_many_ways, tagged],
    sensors=[any_news],
    executor=dg.in_process_executor,
)
