"""The servers that every test may ask for. A server that is not installed fails the test: it is never skipped."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support.docker import built_image
from support.eventually import PATIENCE
from support.postgres import Postgres, private_postgres
from support.rabbitmq import Rabbit, session_rabbitmq

# A shell lets its background jobs ignore Ctrl-C, and so would everything that the tests start and end with it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more of the machine than of the code.
settings.register_profile("isthmus", deadline=None)
settings.load_profile("isthmus")


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what services remember for their user away from the one who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        for name in ("ISTHMUS_API_TOKEN", "ISTHMUS_API_TOKEN_FILE"):
            patch.delenv(name, raising=False)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test its time on a busy machine, too: marks say what a quiet one needs."""
    for item in items:
        mark = item.get_closest_marker("timeout")
        if mark is not None:
            item.add_marker(pytest.mark.timeout(mark.args[0] * PATIENCE), append=False)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[Rabbit]:
    """One RabbitMQ node for the session. To kill or restart a node, start one of your own."""
    with session_rabbitmq() as rabbit:
        yield rabbit


@pytest.fixture
def broker_url(rabbitmq: Rabbit) -> str:
    """The AMQP address of a fresh virtual host."""
    return rabbitmq.take_url()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL server for the session."""
    with private_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The SQLAlchemy address of an empty PostgreSQL database."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The SQLAlchemy address of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/isthmus.db"
    # Asked for here, and not by parameter, so that tests on SQLite start no server.
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="session")
def code_server_image() -> str:
    """The image that user code starts from."""
    return built_image("code-server")


@pytest.fixture
def short_path() -> Iterator[Path]:
    """An empty folder whose path leaves room for the paths of sockets below it."""
    with tempfile.TemporaryDirectory(prefix="it-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
