"""Which locations of a desired set can be served here, each judged on its own."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from isthmus.v1 import instruction_pb2 as instruction
from isthmus_broker.topology import is_valid_name
from isthmus_lifecycle.boundary import Boundary

from isthmus_agent.desired.location import LocationSpec
from isthmus_agent.locations.settings import RegistrySettings
from isthmus_agent.servers.wanted import WantedLocation


@dataclass
class Admission:
    """What a desired set comes to."""

    wanted: dict[str, WantedLocation] = field(default_factory=dict)
    #: The names of those that cannot be served at all.
    refused: list[str] = field(default_factory=list)


def admit(desired: Iterable[instruction.LocationSpec], *, settings: RegistrySettings, boundary: Boundary) -> Admission:
    """Sort out a desired set; a location at which something goes wrong is refused, and no other."""
    admission = Admission()
    for message in desired:
        with boundary.guard(location=message.name):
            if is_valid_name(message.name):
                admission.wanted[message.name] = settings.wanted(LocationSpec.from_proto(message))
        if message.name not in admission.wanted:
            admission.refused.append(message.name)
    return admission
