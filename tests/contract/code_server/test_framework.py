"""Dagster as a code server imports it: without what only Dagster's own servers need, which is there on demand."""

import os
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


_REGISTRY = """
import sys
if sys.argv[1] == "ours":
    from isthmus_code_server.definitions.dagster.framework import import_framework
    import_framework()
else:
    import isthmus_code_server.definitions.dagster.adapter
from dagster._core.workspace import autodiscovery
from dagster._utils.test.definitions import LazyDefinitions
try:
    from dagster_shared.serdes.serdes import _WHITELIST_MAP as known
except ImportError:
    from dagster._serdes.serdes import _WHITELIST_MAP as known

for name in ("object_serializers", "object_deserializers", "enum_serializers"):
    print(*sorted(getattr(known, name)), sep="\\n")
"""


def test_dagsters_deserializer_knows_all_that_it_would_know() -> None:
    def known(how: str) -> set[str]:
        command = [sys.executable, "-W", "ignore", "-c", _REGISTRY, how]
        return set(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split())

    everything = known("all of it")
    assert len(everything) > 100
    assert everything - known("ours") == set()


_BROKEN = """
import sys
from pathlib import Path
from isthmus_code_server.definitions.dagster.framework import import_framework
from isthmus_code_server.definitions.source import DefinitionsSource
from isthmus_code_server.errors import DefinitionsLoadError

load = import_framework()
for _ in range(2):
    try:
        load(DefinitionsSource(module="project"), Path())
    except DefinitionsLoadError as error:
        print(error.failure.error_class, error.failure.message)
"""


def test_each_load_tells_why_dagster_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "toposort.py").write_text("raise ImportError('no core')\n")
    command = [sys.executable, "-W", "ignore", "-c", _BROKEN]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )
    assert done.stdout.splitlines() == ["ImportError no core"] * 2, done.stderr


_AT_REST = """
import gc
from isthmus_code_server.zygote.collector import collector_at_rest

thresholds = gc.get_threshold()
with collector_at_rest():
    assert not gc.isenabled()
    made = [[number] for number in range(100_000)]
assert gc.isenabled()
assert gc.get_threshold() == thresholds
# Nothing of it is looked through any more.
assert gc.get_freeze_count() > len(made)
"""


def test_the_collector_rests_and_works_again_as_it_did() -> None:
    subprocess.run([sys.executable, "-c", _AT_REST], check=True, timeout=60)
