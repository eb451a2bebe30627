"""Each job of the example leaves the history that Dagster's own execution of it leaves."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from isthmus.v1.control_plane_pb2 import RUN_STATE_FAILED, RUN_STATE_SUCCEEDED
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus.v1.telemetry_pb2 import CHECK_SEVERITY_ERROR, Event, MetadataEntry
from isthmus_code_server.definitions.instance_client import OPTIONAL_TIMEOUT_VARIABLE
from support.system import Operator

pytestmark = pytest.mark.timeout(180)

EXAMPLE = Path(__file__).parents[2] / "examples" / "bike_share"


@dataclass(frozen=True)
class Case:
    job: str
    config: str = "{}"
    partition: str = ""
    is_success: bool = True


CASES = [
    Case("simulate_day", '{"ops": {"simulate": {"config": {"riders": 20, "season": "WINTER"}}}}'),
    Case("count_bikes"),
    Case("inspect_docks"),
    Case("ask_operator"),
    Case("repair_bike", is_success=False),
    Case("import_file", '{"ops": {"import_remarks": {"config": {"path": "REMARKS"}}}}'),
    Case("import_file", '{"ops": {"import_remarks": {"config": {"path": "/not/there"}}}}', is_success=False),
    Case("daily_trips", partition="2026-01-05"),
    Case("network_report"),
]


def told(metadata: Sequence[MetadataEntry]) -> list[list[Any]]:
    facts = []
    for entry in metadata:
        kind = entry.value.WhichOneof("value") or "nothing"
        facts.append(
            [entry.label, kind, getattr(entry.value, kind) if kind in {"text", "url", "int", "bool"} else None]
        )
    return sorted(facts, key=json.dumps)


def facts_of(event: Event) -> Iterator[list[Any]]:
    step = event.step_key
    body = event.WhichOneof("body")
    if body in {"step_started", "step_succeeded", "step_skipped", "step_restarted", "step_up_for_retry"}:
        names = {"step_started": "STEP_START", "step_succeeded": "STEP_SUCCESS"}
        yield [names.get(body, body.upper()), step]
    elif body == "step_failed":
        failure = event.step_failed.failure
        yield ["STEP_FAILURE", step, failure.error_class, failure.cause.error_class or None]
    elif body == "step_output":
        output = event.step_output
        yield ["STEP_OUTPUT", step, output.output_name, output.mapping_key, told(output.metadata)]
    elif body in {"asset_materialized", "asset_observed"}:
        said = event.asset_materialized if body == "asset_materialized" else event.asset_observed
        name = "ASSET_MATERIALIZATION" if body == "asset_materialized" else "ASSET_OBSERVATION"
        yield [name, step, list(said.asset.path), said.partition, told(said.metadata)]
    elif body == "asset_check_evaluated":
        check = event.asset_check_evaluated
        severity = "ERROR" if check.severity == CHECK_SEVERITY_ERROR else "WARN"
        yield ["ASSET_CHECK_EVALUATION", step, list(check.asset.path), check.check_name, check.is_passed, severity]
    elif body in {"hook_completed", "hook_failed", "hook_skipped"}:
        yield ["HOOK_ERRORED" if body == "hook_failed" else body.upper(), step]
    elif body in {"run_succeeded", "run_failed"}:
        yield ["PIPELINE_SUCCESS" if body == "run_succeeded" else "PIPELINE_FAILURE"]


async def reference(case: Case, *, database: Path) -> list[list[Any]]:
    """What Dagster itself does with the job, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", str(Path(__file__).with_name("reference.py"))),
        *("bike_share.definitions", case.job, case.config, case.partition),
        cwd=EXAMPLE,
        env={**os.environ, "PYTHONPATH": str(EXAMPLE), "BIKE_SHARE_DATABASE": str(database)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    parsed: list[list[Any]] = json.loads(output.splitlines()[-1])  # above it is what the job prints
    return parsed


async def test_every_job_leaves_the_history_that_dagster_leaves(operator: Operator, tmp_path: Path) -> None:
    remarks = tmp_path / "remarks.txt"
    remarks.write_text("fine\nfast\n")
    source = CodeSource(module="bike_share.definitions", working_directory=str(EXAMPLE))
    # On a busy machine a version may come later than steps wait for it, who can do without.
    env = {"BIKE_SHARE_DATABASE": str(tmp_path / "ours.duckdb"), OPTIONAL_TIMEOUT_VARIABLE: "10"}
    location = await operator.apply("bike-share", source, env=env)
    explicit_jobs = {job.name for job in location.snapshot.jobs if not job.is_implicit_asset_job}
    assert explicit_jobs == {case.job for case in CASES}
    for case in [Case(**{**vars(case), "config": case.config.replace("REMARKS", str(remarks))}) for case in CASES]:
        expected = await reference(case, database=tmp_path / "theirs.duckdb")
        run_id = await operator.launch(
            "bike-share", case.job, run_config_json=case.config, partition_key=case.partition
        )
        run, updates = await operator.history(run_id)
        ours = [fact for update in updates for fact in facts_of(update.event)]
        assert run.state == (RUN_STATE_SUCCEEDED if case.is_success else RUN_STATE_FAILED), (case, run)
        assert Counter(map(json.dumps, ours)) == Counter(map(json.dumps, expected)), case
