"""Makes the support module of this folder importable, whichever interpreter runs these tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from support_code_server import assets, jobs, load
from support_instance import gate

__all__ = ["assets", "gate", "jobs", "load"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let Dagster's own warnings be: they are about Dagster's future, and differ from version to version."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))
