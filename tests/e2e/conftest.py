"""A running system, shared by the tests of a module, and an operator at its API."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from isthmus.v1.instruction_pb2 import CodeSource
from support.rabbitmq import Rabbit
from support.system import Operator, System, running_system

if TYPE_CHECKING:
    from support.postgres import Postgres

PROJECT = Path(__file__).parent / "project"


@pytest.fixture(scope="session")
def gated_source() -> CodeSource:
    return CodeSource(python_file=str(PROJECT / "gated.py"), working_directory=str(PROJECT))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def system(
    request: pytest.FixtureRequest, rabbitmq: Rabbit, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """The system on a virtual host of its own, once on each kind of database."""
    folder = tmp_path_factory.mktemp("system")
    if request.param == "sqlite":
        database_url = f"sqlite+aiosqlite:///{folder}/isthmus.db"
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        database_url = postgres.create_database()
    with running_system(broker_url=rabbitmq.take_url(), database_url=database_url, folder=folder) as system:
        yield system


@pytest.fixture
async def operator(system: System) -> AsyncIterator[Operator]:
    async with system.client() as client:
        operator = Operator(system, client)
        await operator.enroll_agent()
        yield operator
