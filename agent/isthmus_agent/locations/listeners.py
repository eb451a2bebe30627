"""What others hear of locations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from isthmus.v1 import telemetry_pb2 as telemetry

from isthmus_agent.dedicated.pool import PoolState
from isthmus_agent.servers.held import HeldServer


@dataclass(frozen=True)
class ServingGeneration:
    """Which generation of a location answers launches, and how many servers stand by for its runs."""

    location: str
    generation: int
    standby: PoolState = field(default_factory=PoolState)


@dataclass(frozen=True)
class Listeners:
    """Who is told of what happens to locations."""

    #: Of each report on a location, by its name.
    report: Callable[[str, telemetry.Event], None]
    #: That another generation of a location serves, or none.
    on_serving_change: Callable[[], None]
    #: Of each server that can be called, and of which location it is.
    attend: Callable[[HeldServer, str], None] = lambda _held, _location: None
    #: Of the branch deployments that are to be served beside the agent's own.
    want_branches: Callable[[Sequence[str]], None] = lambda _deployments: None
