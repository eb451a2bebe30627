"""How many hostile messages there are: some with each `make test`, a million with `make fuzz`."""

import os

import pytest


@pytest.fixture(scope="session")
def messages() -> int:
    """How many messages the tests of this folder take together, about."""
    return int(os.environ.get("ISTHMUS_FUZZ_MESSAGES", "20000"))


@pytest.fixture(scope="session")
def seed() -> int:
    """Of what is random: the same each time, unless it is named, so that what fails fails again."""
    return int(os.environ.get("ISTHMUS_FUZZ_SEED", "1"))
