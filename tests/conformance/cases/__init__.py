"""The cases, a module for each project."""

from conformance.case import Group
from conformance.cases import (
    assets,
    checks,
    configuration,
    dynamic,
    executors,
    failures,
    graphs,
    hooks,
    io_managers,
    loading,
    partitions,
    pipes,
    reexecution,
    resources,
    retries,
    selection,
    tags_and_pools,
    types_and_loggers,
)

GROUPS: tuple[Group, ...] = (
    graphs.GROUP,
    dynamic.GROUP,
    retries.GROUP,
    failures.GROUP,
    resources.GROUP,
    io_managers.GROUP,
    configuration.GROUP,
    types_and_loggers.GROUP,
    selection.GROUP,
    assets.GROUP,
    checks.GROUP,
    partitions.GROUP,
    pipes.GROUP,
    hooks.GROUP,
    tags_and_pools.GROUP,
    reexecution.GROUP,
    executors.GROUP,
    *loading.GROUPS,
)
