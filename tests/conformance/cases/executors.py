"""The default executor: a process for every step."""

from typing import Any

from conformance.case import Case, Group, one


def settings(**config: Any) -> dict[str, Any]:
    """Return a run config for the default executor.

    It names a start method: under Dagster it takes the seconds away that importing costs each step, under Isthmus, where
    steps are forked anyway, it has to be accepted.
    """
    start_method = {"forkserver": {"preload_modules": ["dagster", "executors"]}}
    return {"execution": {"config": {"multiprocess": {"start_method": start_method, **config}}}}


def default(name: str, job: str, **config: Any) -> Case:
    """Return a case on the default executor with these settings of it."""
    return one(name, job, config=settings(**config))


GROUP = Group(
    name="executors",
    module="executors",
    lanes=2,
    cases=(
        default("a chain, each step in a process of its own", "chain"),
        one("a chain in one process, by config", "chain", config={"execution": {"config": {"in_process": {}}}}),
        default("branches and fan-in, one at a time", "branches", max_concurrent=1),
        default("never more at once than allowed", "crowd", max_concurrent=2),
        default(
            "a limit for a tag",
            "crowd",
            max_concurrent=4,
            tag_concurrency_limits=[{"key": "of", "value": "crowd", "limit": 1}],
        ),
        default("an exception fails its branch", "failing"),
        default("an exception that cannot be pickled", "unpicklable"),
        default("a step that is killed fails its branch", "killed"),
        default("a step that exits fails its branch", "exiting"),
        default("sys.exit in a step", "sys_exiting"),
        default("a retry", "retried"),
        default("a retry that is turned off", "not_retried", retries={"disabled": {}}),
        default("dynamic steps", "dynamic"),
        default("a branch that is not taken", "branching"),
        default("hooks", "hooked"),
        default("resources are made for each step", "with_resource"),
        default("a resource that cannot be made", "with_bad_resource"),
        default("values in memory do not travel", "in_memory"),
        default("assets and their checks", "assets"),
        one("an executor that the job chooses", "chosen"),
    ),
)
