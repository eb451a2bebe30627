"""Loads sources, each in a process forked off one that has Dagster imported, and prints what they define as JSON.

Usage: loader.py HOME < sources.json
"""

import json
import os
import sys
from pathlib import Path

import dagster  # noqa: F401  # imported once, for all of them
from isthmus_code_server.definitions.dagster.loading import load_definitions
from isthmus_code_server.definitions.source import DefinitionsSource
from isthmus_code_server.errors import DefinitionsLoadError


def tell(source: DefinitionsSource, home: Path) -> dict[str, object]:
    """Load one source and tell what it defines, or why it does not load."""
    try:
        snapshot = load_definitions(source, home).describe()
    except DefinitionsLoadError as error:
        return {"error": f"{error.failure.error_class}: {error.failure.message}"}
    return {
        "jobs": [job.name for job in snapshot.jobs if not job.is_implicit_asset_job],
        "implicit_jobs": [job.name for job in snapshot.jobs if job.is_implicit_asset_job],
        "assets": {"/".join(asset.key.path): asset.description for asset in snapshot.assets},
        "schedules": {schedule.name: schedule.job_name for schedule in snapshot.schedules},
    }


def main() -> None:
    """Load every source that stdin lists."""
    told = []
    for index, source in enumerate(json.load(sys.stdin)):
        ours, theirs = os.pipe()
        if os.fork() == 0:
            answer = tell(DefinitionsSource(**source), Path(sys.argv[1]) / str(index))
            os.write(theirs, json.dumps(answer).encode())
            os._exit(0)
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            told.append(json.loads(pipe.read()))
        os.wait()
    sys.stdout.write(json.dumps(told))


main()
