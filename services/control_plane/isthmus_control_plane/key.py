"""The names by which agents and locations are known everywhere."""

from typing import Final, NamedTuple

from isthmus_store.record.location import LocationKey

__all__ = ["DEFAULT", "AgentKey", "LocationKey"]

#: What an empty deployment or pool in a request stands for.
DEFAULT: Final = "default"


class AgentKey(NamedTuple):
    """An agent, anywhere."""

    deployment: str
    name: str
