"""The settings of the run queue, and of retries, that a project asks for: in its isthmus.yaml, else in its dagster.yaml."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.v1.control_plane_pb2 import PoolLimits, QueueSettings, RunRetries, RunTimeouts, TagLimit

from isthmus_cli.errors import InputError
from isthmus_cli.location_file import read_project_file
from isthmus_cli.yaml_text import parse_yaml

NAME = "dagster.yaml"
OWN_NAME = "isthmus.yaml"
#: How long the start and the end of a run may take in Dagster where nothing is said, seconds.
_DAGSTERS_S = 180


@dataclass(frozen=True)
class ProjectLimits:
    """What a file limits, and what of it could not be taken over."""

    settings: QueueSettings
    origin: Path
    notes: tuple[str, ...] = ()


def project_limits(folder: Path) -> ProjectLimits | None:
    """Read the limits in the folder's isthmus.yaml, else in the dagster.yaml of DAGSTER_HOME or of the folder.

    Returns None when neither has some. A dagster.yaml that is no YAML says nothing here: loading the project tells what
    is wrong with it.

    Raises:
        InputError: The isthmus.yaml is wrong; it names field and what to write instead.
    """
    own = folder / OWN_NAME
    if own.exists():
        settings = read_project_file(own).queue
        if settings is not None:
            return ProjectLimits(settings, own)
    return _dagster_limits(folder)


def _dagster_limits(folder: Path) -> ProjectLimits | None:
    path = Path(os.environ.get("DAGSTER_HOME") or folder) / NAME
    try:
        said = parse_yaml(path.read_text(encoding="utf-8"), origin=str(path))
    except (OSError, UnicodeDecodeError, InputError):
        return None
    if not isinstance(said, Mapping):
        return None
    runs, pools = _runs_section(said), _section(_section(said, "concurrency"), "pools")
    retries = _section(said, "run_retries")
    times = _run_timeouts(_section(said, "run_monitoring"))
    if not runs and not pools and not retries and times is None:
        return None
    notes: list[str] = []
    settings = QueueSettings()
    most = _number(runs.get("max_concurrent_runs"))
    if most is not None and most >= 0:
        settings.max_runs = most
    settings.tags.extend(_tag_limits(runs.get("tag_concurrency_limits"), notes))
    if pools:
        settings.pools.CopyFrom(_pool_limits(pools))
    if retries:
        settings.run_retries.CopyFrom(_run_retries(retries))
    if times is not None:
        settings.run_timeouts.CopyFrom(times)
    return ProjectLimits(settings, path, tuple(notes))


def _run_timeouts(said: Mapping[str, Any]) -> RunTimeouts | None:
    """Return what is said of times; in that file they are off unless it says otherwise, and have Dagster's defaults."""
    if said.get("enabled") is not True:
        return None
    start_s, cancel_s = _number(said.get("start_timeout_seconds")), _number(said.get("cancel_timeout_seconds"))
    return RunTimeouts(
        start_s=_DAGSTERS_S if start_s is None else max(start_s, 0),
        cancel_s=_DAGSTERS_S if cancel_s is None else max(cancel_s, 0),
        max_runtime_s=max(_number(said.get("max_runtime_seconds")) or 0, 0),
    )


def _pool_limits(pools: Mapping[str, Any]) -> PoolLimits:
    """Return the limits of pools. By Dagster's own default it is steps that hold the slots."""
    limits = PoolLimits()
    default = _number(pools.get("default_limit"))
    if default is not None and default >= 0:
        limits.default_limit = default
    if pools.get("granularity", "op") != "run":
        limits.granularity = PoolLimits.GRANULARITY_OP
    limits.run_buffer = max(_number(pools.get("op_granularity_run_buffer")) or 0, 0)
    return limits


def _run_retries(said: Mapping[str, Any]) -> RunRetries:
    """Return what is said of retries; in that file they are off unless it says otherwise."""
    on_failure = said.get("retry_on_asset_or_op_failure")
    return RunRetries(
        enabled=said.get("enabled") is True,
        max_retries=max(_number(said.get("max_retries")) or 0, 0),
        retry_on_asset_or_op_failure=on_failure if isinstance(on_failure, bool) else None,
    )


def _runs_section(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what limits runs, by whichever of its names: the newest wins."""
    coordinator = _section(_section(said, "run_coordinator"), "config")
    return {**coordinator, **_section(said, "run_queue"), **_section(_section(said, "concurrency"), "runs")}


def _section(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = said.get(name)
    return found if isinstance(found, Mapping) else {}


def _number(value: Any) -> int | None:
    """Return a whole number, also one that a variable of the environment holds."""
    if isinstance(value, Mapping):
        value = os.environ.get(str(value.get("env", "")))
    try:
        return int(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError):
        return None


def _tag_limits(entries: Any, notes: list[str]) -> Iterator[TagLimit]:
    for entry in entries if isinstance(entries, list) else ():
        key = entry.get("key") if isinstance(entry, Mapping) else None
        limit = _number(entry.get("limit")) if isinstance(entry, Mapping) else None
        if not key or limit is None or limit < 0:
            notes.append(f"a limit of tags could not be read: {entry}")
            continue
        value = entry.get("value")
        if isinstance(value, Mapping):
            yield TagLimit(key=str(key), per_value=bool(value.get("applyLimitPerUniqueValue")), limit=limit)
        else:
            yield TagLimit(key=str(key), value=None if value is None else str(value), limit=limit)
