"""How one `isthmus dev` works."""

from dataclasses import dataclass

from isthmus.v1.control_plane_pb2 import LocationSettings

from isthmus_dev.folder import DataFolder

#: The agent that everything runs on, and the deployment that it is for.
AGENT = "local"
DEPLOYMENT = "default"


@dataclass(frozen=True)
class DevSettings:
    """What was decided before anything starts."""

    folder: DataFolder
    target: LocationSettings
    #: 0 for any free port.
    port: int
    #: Empty to start a private RabbitMQ node.
    broker_url: str = ""
    load_timeout_s: float = 300.0
