"""Executes launches the way Dagster's own run worker does, and prints their facts as a last line of JSON.

`python -m conformance.dagster_side MODULE ATTRIBUTE HOME LANES < cases.json`, in the folder of the projects. Every run
gets a process of its own, as under Dagster's default launcher: what one leaves in memory the next does not see, and a run
may end its process. All runs of a call share one instance, below HOME; with more than one lane, cases are executed side
by side.
"""

import json
import multiprocessing
import os
import sys
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from conformance.dagster_facts import Fact, errors, facts
from dagster import (
    AssetCheckKey,
    AssetKey,
    DagsterError,
    DagsterInstance,
    DagsterInvalidConfigError,
    DagsterRunStatus,
    DagsterUnknownPartitionError,
    JobDefinition,
    job,
    op,
)
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution.api import create_execution_plan, execute_run
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.snap import snapshot_from_execution_plan
from dagster._utils.error import serializable_error_info_from_exc_info

_TERMINAL = frozenset({"PIPELINE_SUCCESS", "PIPELINE_FAILURE", "PIPELINE_CANCELED"})


class Side:
    """The project and the instance of one call."""

    def __init__(self, module: str, attribute: str, home: Path) -> None:
        self._home = home
        self._repository = ReconstructableRepository.for_module(module, attribute, working_directory=str(Path.cwd()))
        self._repository.get_definition().get_all_jobs()
        self._instance = self._open_instance()
        # What a first run imports and compiles, every fork would import and compile once more.
        _empty_job().execute_in_process(instance=self._instance)

    def _open_instance(self) -> DagsterInstance:
        """Open the instance: a real one, with its events in one database, which is made faster than one for each run.

        It holds no connection when nobody asks it, so that forks may share it.
        """
        events = {
            "module": "dagster._core.storage.event_log",
            "class": "ConsolidatedSqliteEventLogStorage",
            "config": {"base_dir": str(self._home / "events")},
        }
        overrides = {"event_log_storage": events, "telemetry": {"enabled": False}}
        return DagsterInstance.local_temp(str(self._home), overrides=overrides)

    def execute(self, launch: dict[str, Any], *, runs: list[str]) -> int:
        """Execute a launch in a process of its own and return how that ended, as waitpid tells it.

        Args:
            launch: The launch.
            runs: The ids of all launches of its case.
        """
        pid = os.fork()
        if pid == 0:
            exit_code = 1
            try:
                self._be_worker(launch, runs=runs)
                exit_code = 0
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(exit_code)
        return os.waitpid(pid, 0)[1]

    def told(self, statuses: dict[str, int]) -> dict[str, list[Fact]]:
        """Return the facts of runs, given how their processes ended."""
        return {run_id: self._facts(run_id, status) for run_id, status in statuses.items()}

    def _facts(self, run_id: str, status: int) -> list[Fact]:
        verdict = json.loads(self._verdict(run_id).read_text())
        if "rejected" in verdict:
            return [{"event": "REJECTED", "fields": verdict["rejected"]}]
        if "error" in verdict:
            return [{"event": "REJECTED", "error": verdict["error"]}]
        told = facts(self._instance.all_logs(run_id))
        for fact in told:
            if fact["event"] == "PIPELINE_START":
                fact["steps"] = sorted(verdict["steps"])
        if not any(fact["event"] in _TERMINAL for fact in told):
            told.append(_died(status))
        return told

    def _verdict(self, run_id: str) -> Path:
        return self._home / f"{run_id}.verdict.json"

    def _be_worker(self, launch: dict[str, Any], *, runs: list[str]) -> None:
        verdict_path = self._verdict(launch["run_id"])
        try:
            run = self._create(launch, runs=runs)
        except DagsterInvalidConfigError as error:
            verdict_path.write_text(json.dumps({"rejected": _config_fields(error)}))
            return
        except DagsterError as error:
            verdict_path.write_text(json.dumps({"rejected": [_field_of(error)]}))
            return
        except Exception:  # noqa: BLE001  # user code may have a part in it
            error_info = serializable_error_info_from_exc_info(sys.exc_info())
            verdict_path.write_text(json.dumps({"error": errors(error_info)}))
            return
        verdict_path.write_text(json.dumps({"steps": list(run.step_keys_to_execute)}))
        execute_run(self._repository.get_reconstructable_job(launch["job"]), run, self._instance)

    def _create(self, launch: dict[str, Any], *, runs: list[str]) -> Any:
        instance = self._instance
        whole: Any = self._repository.get_definition().get_job(launch["job"])
        assets = frozenset(AssetKey(key.split("/")) for key in launch["assets"]) or None
        checks = frozenset(AssetCheckKey(AssetKey(key.split("/")), name) for key, name in launch["checks"]) or None
        job = whole
        if launch["ops"]:
            job = whole.get_subset(op_selection=launch["ops"])
        elif assets or checks:
            job = whole.get_subset(asset_selection=assets or frozenset(), asset_check_selection=checks)
        config, tags = _config_and_tags(job, launch)
        parent = instance.get_run_by_id(runs[launch["parent"]]) if launch["parent"] is not None else None
        plan = create_execution_plan(job, config, tags=tags, **_again(launch, instance, parent))
        return instance.create_run(
            job_name=job.name,
            run_id=launch["run_id"],
            run_config=config,
            status=DagsterRunStatus.STARTING,
            tags=tags,
            root_run_id=parent.run_id if parent is not None else None,
            parent_run_id=parent.run_id if parent is not None else None,
            step_keys_to_execute=plan.step_keys_to_execute,
            execution_plan_snapshot=snapshot_from_execution_plan(plan, job.get_job_snapshot_id()),
            job_snapshot=job.get_job_snapshot(),
            parent_job_snapshot=job.get_parent_job_snapshot(),
            asset_selection=assets,
            asset_check_selection=checks,
            resolved_op_selection=job.op_selection if launch["ops"] else None,
            op_selection=launch["ops"] or None,
            remote_job_origin=None,
            job_code_origin=self._repository.get_reconstructable_job(launch["job"]).get_python_origin(),
            asset_graph=job.asset_layer.asset_graph,
        )


def _share_forkserver(module: str) -> None:
    """Start what steps' processes are forked from once for all runs: each would start one, which imports Dagster anew."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(["dagster", module])
    forkserver.ensure_running()
    shared: Any = forkserver._forkserver
    # A run asks whether it lives, which its parent alone may.
    shared.ensure_running = lambda: None


def _empty_job() -> JobDefinition:
    @op
    def empty_op() -> None:
        """Do nothing."""

    @job
    def empty_job() -> None:
        empty_op()

    return empty_job


def _config_and_tags(job: Any, launch: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Complete config and tags as Dagster does when someone launches a partition of a job."""
    config = launch["config"] or {}
    tags = dict(job.run_tags)
    if launch["partition"]:
        key = launch["partition"]
        selected = [AssetKey(name.split("/")) for name in launch["assets"]] or None
        if not job._get_partitions_def(selected).has_partition_key(key):
            raise DagsterUnknownPartitionError
        config = config or dict(job.get_run_config_for_partition_key(key))
        tags.update(job.get_tags_for_partition_key(key, selected_asset_keys=selected))
    return config, {**tags, **launch["tags"]}


def _again(launch: dict[str, Any], instance: DagsterInstance, parent: Any) -> dict[str, Any]:
    """Return what a plan needs to execute a part of an earlier run again."""
    if launch["is_from_failure"]:
        steps, state = KnownExecutionState.build_resume_retry_reexecution(instance, parent)
        return {"step_keys_to_execute": steps, "known_state": state}
    if launch["steps"]:
        state = KnownExecutionState.build_for_reexecution(instance, parent)
        return {"step_keys_to_execute": launch["steps"], "known_state": state}
    return {}


def _died(status: int) -> Fact:
    code = os.waitstatus_to_exitcode(status)
    how = {"signal": -code} if code < 0 else {"code": code}
    return {"event": "PIPELINE_FAILURE", "step": "", "reason": "killed" if code < 0 else "exited", "exit": how}


def _config_fields(error: DagsterInvalidConfigError) -> list[str]:
    return sorted({field for one in error.errors for field in _fields(one)})


def _fields(error: Any) -> list[str]:
    base = "run_config"
    for entry in error.stack.entries:
        if hasattr(entry, "list_index"):
            base += f"[{entry.list_index}]"
        else:
            base += f".{entry.field_name if hasattr(entry, 'field_name') else entry.map_key}"
    data = error.error_data
    names = [data.field_name] if hasattr(data, "field_name") else getattr(data, "field_names", None)
    return [f"{base}.{name}" for name in names] if names else [base]


def _field_of(error: DagsterError) -> str:
    name = type(error).__name__
    if "Subset" in name:
        return "selection"
    return "partition_key" if "Partition" in name else "run_config"


def _execute(side: Side, cases: list[list[dict[str, Any]]], *, lanes: int, folder: Path) -> dict[str, int]:
    """Execute the launches of each case in their order, each lane its share of the cases; return how each process ended."""
    children: dict[int, int] = {}
    lane = 0
    for number in range(1, lanes):
        children[number] = os.fork()
        if children[number] == 0:
            lane = number
            break
    statuses: dict[str, int] = {}
    for launches in cases[lane::lanes]:
        runs = [launch["run_id"] for launch in launches]
        statuses.update({launch["run_id"]: side.execute(launch, runs=runs) for launch in launches})
    if lane:
        (folder / f"lane-{lane}.json").write_text(json.dumps(statuses))
        sys.stdout.flush()
        os._exit(0)
    for number, pid in children.items():
        os.waitpid(pid, 0)
        statuses.update(json.loads((folder / f"lane-{number}.json").read_text()))
    return statuses


def main() -> None:
    """Execute what stands on standard input."""
    module, attribute, home, lanes = sys.argv[1:]
    sys.path.insert(0, str(Path.cwd()))
    side = Side(module, attribute, Path(home))
    text = sys.stdin.read()
    cases: dict[str, list[dict[str, Any]]] = json.loads(text)
    if '"forkserver"' in text:
        _share_forkserver(module)
    told = side.told(_execute(side, list(cases.values()), lanes=int(lanes), folder=Path(home)))
    answer = {name: [told[launch["run_id"]] for launch in launches] for name, launches in cases.items()}
    print()  # noqa: T201  # what the project printed ends here
    json.dump(answer, sys.stdout, default=str)


if __name__ == "__main__":
    main()
