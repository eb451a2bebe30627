"""The snapshot tells everything that Dagster knows, and tells it in the same bytes each time."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from isthmus.v1.telemetry_pb2 import AssetKey, AssetSnapshot, ConfigField, JobSnapshot, LocationSnapshot
from isthmus_code_server.definitions.port import Definitions
from support_code_server import PROJECTS

_DESCRIBE = """
import sys, pathlib, warnings
warnings.simplefilter("ignore")
from isthmus_code_server.definitions.dagster.loading import load_definitions
from isthmus_code_server.definitions.port import DefinitionsSource
source = DefinitionsSource(module=sys.argv[1], working_directory=sys.argv[2])
snapshot = load_definitions(source, pathlib.Path(sys.argv[3])).describe()
sys.stdout.buffer.write(snapshot.SerializeToString(deterministic=True))
"""


def test_equal_definitions_give_equal_bytes_in_every_process(assets: Definitions, tmp_path: Path) -> None:
    ours = assets.describe().SerializeToString(deterministic=True)
    for seed in ("1", "2"):
        command = [sys.executable, "-c", _DESCRIBE, "assets", str(PROJECTS), str(tmp_path)]
        theirs = subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        assert theirs == ours


def names(items: Iterable[Any]) -> list[str]:
    return [item.name for item in items]


def test_every_list_is_sorted_by_name(jobs: Definitions) -> None:
    snapshot = jobs.describe()
    for listed in (snapshot.jobs, snapshot.schedules, snapshot.sensors, snapshot.resources):
        assert listed
        assert names(listed) == sorted(names(listed))


def job(snapshot: LocationSnapshot, name: str) -> JobSnapshot:
    return next(one for one in snapshot.jobs if one.name == name)


def asset(snapshot: LocationSnapshot, name: str) -> AssetSnapshot:
    return next(one for one in snapshot.assets if "/".join(one.key.path) == name)


def by_name(items: Iterable[Any], name: str) -> Any:
    return next(item for item in items if item.name == name)


def keys(items: Iterable[AssetKey]) -> list[str]:
    return ["/".join(key.path) for key in items]


def test_a_job_tells_of_itself(jobs: Definitions) -> None:
    smallest = job(jobs.describe(), "smallest")
    assert smallest.description == "The smallest job."
    assert dict(smallest.tags) == {"team": "core"}
    assert smallest.executor == "in_process"
    assert not smallest.is_implicit_asset_job
    assert job(jobs.describe(), "without_retries").executor == "multiprocess"


def test_nested_ops_have_their_handles_and_what_feeds_them(jobs: Definitions) -> None:
    ops = {op.name: list(op.upstream) for op in job(jobs.describe(), "nested").ops}
    assert ops == {
        "one": [],
        "outer.add_one": ["one"],
        "outer.inner.add_one": ["outer.add_one"],
        "last": ["outer.inner.add_one"],
    }


def test_ops_tell_of_themselves(jobs: Definitions) -> None:
    snapshot = jobs.describe()
    last = by_name(job(snapshot, "nested").ops, "last")
    assert (last.definition_name, last.description, dict(last.tags)) == ("add_one", "Adds one.", {"kind": "sum"})
    assert by_name(job(snapshot, "dynamic").ops, "split").is_dynamic
    assert by_name(job(snapshot, "retried").ops, "by_policy").has_retry_policy
    assert not by_name(job(snapshot, "retried").ops, "flaky").has_retry_policy
    assert list(by_name(job(snapshot, "with_resource").ops, "uses_store").required_resources) == ["store"]


def at(field: ConfigField, *path: str) -> ConfigField:
    for name in path:
        field = by_name(field.fields, name)
    return field


def test_the_config_schema_is_a_tree(jobs: Definitions) -> None:
    root = job(jobs.describe(), "configured").config
    assert root.kind == "shape"
    load = at(root, "ops", "load", "config")
    assert (load.kind, load.is_required) == ("shape", True)
    limit, name = at(load, "limit"), at(load, "name")
    assert (limit.kind, limit.type_name, limit.is_required) == ("scalar", "Int", True)
    assert not limit.HasField("default_json")
    assert (name.is_required, json.loads(name.default_json)) == (False, "x")
    assert at(root, "execution", "config", "retries").kind == "selector"


def test_no_default_of_a_resource_leaves_the_environment(jobs: Definitions) -> None:
    snapshot = jobs.describe()
    password = at(by_name(snapshot.resources, "store").config, "password")
    assert (password.kind, password.fields[0].type_name) == ("noneable", "StringSourceType")
    assert b"swordfish" not in snapshot.SerializeToString()


def test_a_resource_tells_its_class(jobs: Definitions) -> None:
    assert by_name(jobs.describe().resources, "store").type_name == "Store"


def test_an_asset_tells_of_itself(assets: Definitions) -> None:
    source = asset(assets.describe(), "source")
    assert source.group == "raw"
    assert list(source.kinds) == ["csv", "python"]
    assert list(source.owners) == ["team:data"]
    assert dict(source.tags) == {"tier": "one"}
    assert (source.code_version, source.description, source.op_name) == ("7", "What comes in.", "source")
    assert (source.is_executable, source.is_observable) == (True, False)
    assert list(source.jobs) == ["__ASSET_JOB", "numbers"]
    metadata = {entry.label: entry.value for entry in source.metadata}
    assert metadata["rows"].int == 3
    assert metadata["docs"].url == "https://example.com"


def test_assets_know_what_they_depend_on_and_what_checks_them(assets: Definitions) -> None:
    summed = asset(assets.describe(), "summed")
    assert keys(summed.deps) == ["source"]
    checks = [(check.name, check.is_blocking, check.description) for check in summed.checks]
    assert checks == [("is_positive", True, "More than none."), ("is_small", False, "")]


def test_assets_that_are_not_made_here_are_told_apart(assets: Definitions) -> None:
    snapshot = assets.describe()
    assert not asset(snapshot, "foreign").is_executable
    assert asset(snapshot, "watched").is_observable


def test_partitions_of_every_kind(assets: Definitions) -> None:
    snapshot = assets.describe()
    letters = asset(snapshot, "by_letter").partitions
    assert (letters.kind, list(letters.keys)) == ("static", ["a", "b"])
    days = asset(snapshot, "by_day").partitions
    assert (days.kind, days.cron_schedule, days.timezone, days.format) == (
        "time_window",
        "0 0 * * *",
        "UTC",
        "%Y-%m-%d",
    )
    assert days.start.ToJsonString() == "2024-01-01T00:00:00Z"
    assert days.end.ToJsonString() == "2024-02-01T00:00:00Z"
    both = asset(snapshot, "by_both").partitions
    assert (both.kind, sorted(both.dimensions)) == ("multi", ["day", "letter"])
    customers = asset(snapshot, "by_customer").partitions
    assert (customers.kind, customers.dynamic_name) == ("dynamic", "customers")
    assert job(snapshot, "letters").partitions.kind == "static"
    assert asset(snapshot, "source").partitions.kind == ""


def test_asset_jobs_name_their_assets(assets: Definitions) -> None:
    snapshot = assets.describe()
    assert keys(job(snapshot, "numbers").assets) == ["source", "summed"]
    assert [one.name for one in snapshot.jobs if one.is_implicit_asset_job] == ["__ASSET_JOB"]


def test_schedules_and_sensors(jobs: Definitions) -> None:
    snapshot = jobs.describe()
    nightly = by_name(snapshot.schedules, "nightly")
    assert list(nightly.cron_schedules) == ["0 3 * * *"]
    assert (nightly.timezone, nightly.job_name, nightly.description) == ("Europe/Berlin", "configured", "Nightly.")
    files = by_name(snapshot.sensors, "files")
    assert (files.kind, list(files.job_names), files.minimum_interval_s) == ("standard", ["smallest"], 20)


def test_the_framework_is_named(jobs: Definitions) -> None:
    assert jobs.framework.startswith("dagster 1.")
    assert isinstance(jobs.describe(), Message)
