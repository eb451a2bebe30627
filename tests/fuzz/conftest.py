"""How many hostile messages there are: some with each `make test`, a million with `make fuzz`."""

import os
import sys
import traceback
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(scope="session")
def messages() -> int:
    """How many messages the tests of this folder take together, about."""
    return int(os.environ.get("ISTHMUS_FUZZ_MESSAGES", "20000"))


@pytest.fixture(scope="session")
def seed() -> int:
    """Of what is random: the same each time, unless it is named, so that what fails fails again."""
    return int(os.environ.get("ISTHMUS_FUZZ_SEED", "1"))


@pytest.fixture
def unforeseen() -> Iterator[list[str]]:
    """What stopped at a boundary while the test ran: errors that nobody has declared. Other lines of the log are dropped."""
    found: list[str] = []

    def note(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if event["event"] in {"stopped_at_boundary", "call_failed"}:
            error = event["exc_info"] if isinstance(event["exc_info"], BaseException) else sys.exception()
            assert error is not None
            found.append("".join(traceback.format_exception(error)))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[note])
    yield found
    structlog.configure(**before)
