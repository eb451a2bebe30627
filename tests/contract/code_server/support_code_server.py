"""Loads the projects beside this file, each in the test's own process, and executes their jobs."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from isthmus.v1.instruction_pb2 import AssetCheckRef, RunRequest
from isthmus.v1.telemetry_pb2 import AssetKey, Event, RunRef
from isthmus_code_server.definitions.dagster.loading import load_definitions
from isthmus_code_server.definitions.port import Definitions, RunPlace
from isthmus_code_server.definitions.source import DefinitionsSource

PROJECTS = Path(__file__).parent / "projects"

Load = Callable[..., Definitions]
Execute = Callable[..., list[Event]]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Load a project; what importing changes in this process is undone."""
    folder, path, modules = Path.cwd(), list(sys.path), set(sys.modules)

    def _load(**source: str) -> Definitions:
        source = {"working_directory": str(PROJECTS), **source}
        return load_definitions(DefinitionsSource(**source), tmp_path / "home")

    yield _load
    os.chdir(folder)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        module = sys.modules[name]
        if str(PROJECTS) in str(getattr(module, "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def jobs(load: Load) -> Definitions:
    return load(module="jobs")


@pytest.fixture
def assets(load: Load) -> Definitions:
    return load(module="assets")


def run_request(
    job: str,
    *,
    config: Mapping[str, Any] | str | None = None,
    ops: Sequence[str] = (),
    assets: Sequence[str] = (),
    checks: Sequence[tuple[str, str]] = (),
    partition: str = "",
    tags: Mapping[str, str] | None = None,
    run_id: str = "run-1",
) -> RunRequest:
    text = config if isinstance(config, str) else json.dumps(config) if config is not None else ""
    return RunRequest(
        run=RunRef(run_id=run_id, attempt=1),
        job_name=job,
        run_config_json=text,
        op_selection=ops,
        asset_selection=[AssetKey(path=name.split("/")) for name in assets],
        check_selection=[AssetCheckRef(asset=AssetKey(path=[asset]), check_name=name) for asset, name in checks],
        partition_key=partition,
        tags=dict(tags or {}),
    )


def execute(definitions: Definitions, request: RunRequest) -> list[Event]:
    events: list[Event] = []
    definitions.prepare(request).execute(events.append, place=RunPlace())
    return events


def bodies(events: Sequence[Event]) -> list[str]:
    return [event.WhichOneof("body") or "" for event in events]


def of_body(events: Sequence[Event], body: str) -> list[Event]:
    return [event for event in events if event.WhichOneof("body") == body]
