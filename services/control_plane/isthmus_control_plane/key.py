"""The names by which agents and locations are known everywhere."""

from typing import Final, NamedTuple

#: What an empty deployment or pool in a request stands for.
DEFAULT: Final = "default"


class AgentKey(NamedTuple):
    """An agent, anywhere."""

    deployment: str
    name: str


class LocationKey(NamedTuple):
    """A location, anywhere."""

    deployment: str
    name: str
