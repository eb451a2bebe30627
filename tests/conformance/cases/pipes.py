"""Processes that speak Dagster Pipes."""

from conformance.case import Group, one

JOB = "__ASSET_JOB"

GROUP = Group(
    name="pipes",
    module="pipes_project",
    cases=(
        one("a materialization with metadata of every type", JOB, assets=("reported",)),
        one("checks", JOB, assets=("reported_checks",)),
        one("log lines of every level", JOB, assets=("logged",)),
        one("extras there, messages back", "talks"),
        one("a process that exits with an error", JOB, assets=("exits",)),
        one("a process that raises", JOB, assets=("raises",)),
        one("a process that is killed", JOB, assets=("killed",)),
        one("a process that never opens Pipes", JOB, assets=("mute",)),
        one("a partition", JOB, assets=("partitioned",), partition="a"),
        one("several assets of one process", JOB, assets=("first", "second")),
    ),
)
