"""Dagster as a code server imports it: without what only Dagster's own servers need, which is there on demand."""

import subprocess
import sys
from pathlib import Path

_FRAMEWORK = """
import sys
from pathlib import Path
from isthmus_code_server.definitions.dagster.framework import import_framework

import_framework()
from isthmus_code_server.definitions.dagster.loading import load_definitions
from isthmus_code_server.definitions.source import DefinitionsSource

(Path(sys.argv[1]) / "project.py").write_text('''
from dagster import Definitions, asset

@asset
def table(): ...

defs = Definitions(assets=[table])
''')
source = DefinitionsSource(module="project", working_directory=sys.argv[1])
definitions = load_definitions(source, Path(sys.argv[1]))
definitions.warm_up()
# What nobody asked for is not there.
print(sorted({"sqlalchemy", "alembic", "dagster._daemon.controller"} & set(sys.modules)))

import dagster
from dagster._core.storage.event_log import EventLogStorage, SqliteEventLogStorage
from dagster._core.storage.runs import InMemoryRunStorage, RunStorage
from dagster._core.storage.sql import create_engine
from dagster._daemon import SensorDaemon

# Whoever asks has it, and an instance with storages of Dagster's own works.
print(issubclass(SqliteEventLogStorage, EventLogStorage), issubclass(InMemoryRunStorage, RunStorage), SensorDaemon.__name__)
print(dagster.materialize([sys.modules["project"].table], instance=dagster.DagsterInstance.ephemeral()).success)
"""


def test_dagster_comes_without_what_only_its_own_servers_need_and_with_it_on_demand(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", _FRAMEWORK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == ["[]", "True True SensorDaemon", "True"], done.stderr
