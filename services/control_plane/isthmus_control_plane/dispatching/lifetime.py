"""How long a launch may take to start its run: a pure decision."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus_store.record.agent import Agent

#: What a launch takes besides the import that it waits for, seconds: its location's server starts before, and it may stand in
#: a line after.
_MARGIN_S: Final = 120.0


def launch_lifetime(settings: bytes | None, *, agents: Iterable[Agent], launch_timeout_s: float) -> timedelta:
    """Return how long after its dispatch a launch expires: not before an import of its location may have ended.

    Args:
        settings: the location's, as they are stored; None for one that is gone.
        agents: where it may go; they say how long imports may take whose locations do not.
        launch_timeout_s: what is allowed at the least.
    """
    usual_s = max((agent.load_timeout_s for agent in agents), default=0.0)
    load_timeout_s = LocationSettings.FromString(settings or b"").load_timeout_s or usual_s
    if load_timeout_s <= 0:
        return timedelta(seconds=launch_timeout_s)
    return timedelta(seconds=max(launch_timeout_s, load_timeout_s + _MARGIN_S))
