"""How long a launch may take to start its run: a pure decision."""

from datetime import timedelta
from typing import Final

from isthmus.v1.control_plane_pb2 import LocationSettings

#: What a launch takes besides the import that it waits for, seconds.
_MARGIN_S: Final = 60.0


def launch_lifetime(settings: bytes | None, *, launch_timeout_s: float) -> timedelta:
    """Return how long after its dispatch a launch expires: not before an import of its location may have ended.

    Args:
        settings: the location's, as they are stored; None for one that is gone.
        launch_timeout_s: what is allowed where the location does not say how long it loads.
    """
    load_timeout_s = LocationSettings.FromString(settings or b"").load_timeout_s
    if load_timeout_s <= 0:
        return timedelta(seconds=launch_timeout_s)
    return timedelta(seconds=max(launch_timeout_s, load_timeout_s + _MARGIN_S))
