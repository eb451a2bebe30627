"""The command `isthmus-code-server check`: tells whether a project can be loaded, and what it defines."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from isthmus.v1.telemetry_pb2 import Failure, LocationSnapshot

from isthmus_code_server.definitions.dagster.loading import load_definitions
from isthmus_code_server.definitions.source import DefinitionsSource
from isthmus_code_server.errors import DefinitionsLoadError


def check(source: DefinitionsSource) -> int:
    """Load the project in this process and print what it defines, or why it cannot be loaded; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="isthmus-check-") as home:
        try:
            definitions = load_definitions(source, Path(home))
        except DefinitionsLoadError as error:
            sys.stderr.write(_failure_text(error.failure))
            return 1
        sys.stdout.write(f"{definitions.framework}\n{_snapshot_text(definitions.describe())}")
    return 0


def _snapshot_text(snapshot: LocationSnapshot) -> str:
    names = {
        "jobs": [job.name for job in snapshot.jobs if not job.is_implicit_asset_job],
        "assets": ["/".join(asset.key.path) for asset in snapshot.assets],
        "schedules": [schedule.name for schedule in snapshot.schedules],
        "sensors": [sensor.name for sensor in snapshot.sensors],
        "resources": [resource.name for resource in snapshot.resources],
    }
    return "".join(f"{kind}: {len(found)}{_listed(found)}\n" for kind, found in names.items())


def _listed(names: Sequence[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


def _failure_text(failure: Failure) -> str:
    text = f"{''.join(failure.stack)}{failure.error_class}: {failure.message}\n"
    for inner in ("cause", "context"):
        if failure.HasField(inner):
            return f"{_failure_text(getattr(failure, inner))}\nThat led to:\n{text}"
    return text
