"""How one `isthmus dev` works."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus_cli.project.limits import ProjectLimits

from isthmus_dev.folder import DataFolder

#: The agent that everything runs on, and the deployment that it is for.
AGENT = "local"
DEPLOYMENT = "default"


@dataclass(frozen=True)
class DevSettings:
    """What was decided before anything starts."""

    folder: DataFolder
    targets: Sequence[LocationSettings]
    #: 0 for any free port.
    port: int
    #: Empty to start a private RabbitMQ node.
    broker_url: str = ""
    #: The file that named the targets; None when the options did.
    origin: Path | None = None
    #: What the project limits of the queue; None where it says nothing.
    limits: ProjectLimits | None = None
    #: Folders for the end of an interpreter's path, from which it has the code server; by the interpreter.
    lent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Where the console listens, 0 for any free port; None where none is wanted.
    console_port: int | None = None
    #: Whether a browser is opened at it.
    opens_console: bool = False
    #: Whether locations are loaded anew when their files change.
    is_watching: bool = True
    #: Finds the targets again, as the project's files name them by now; None where the options named them.
    find: Callable[[], Sequence[LocationSettings]] | None = None
    load_timeout_s: float = 300.0
