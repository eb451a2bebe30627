"""What is there for a project besides its code."""

from dataclasses import dataclass, field
from pathlib import Path

from isthmus_code_server.definitions.dagster.surrounding.instance_file import InstanceFile


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where the values of a location's runs are kept, and what its dagster.yaml says."""

    #: The location's folder.
    home: Path
    file: InstanceFile = field(default_factory=InstanceFile)
