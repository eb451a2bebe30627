"""Labels of our containers: whose they are and what they serve, so that a restarted agent recognises them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from isthmus_agent.hosts.host import Server, ServerSpec
from isthmus_agent.hosts.naming import server_name, spec_hash

_PREFIX = "isthmus."
SYSTEM = f"{_PREFIX}system"
DEPLOYMENT = f"{_PREFIX}deployment"
AGENT = f"{_PREFIX}agent"
DATA = f"{_PREFIX}data"
SERVER = f"{_PREFIX}server"
LOCATION = f"{_PREFIX}location"
GENERATION = f"{_PREFIX}generation"
SLOT = f"{_PREFIX}slot"
INCARNATION = f"{_PREFIX}incarnation"
SPEC_HASH = f"{_PREFIX}spec-hash"
ADDRESS = f"{_PREFIX}address"
CREATED_BY = f"{_PREFIX}created-by"
STOP_TIMEOUT = f"{_PREFIX}stop-timeout-s"

_SYSTEM_NAME = "isthmus"
#: Longest time that a container may be given to end, seconds.
MOST_STOP_TIMEOUT_S = 86_400.0


@dataclass(frozen=True)
class Owner:
    """Whose containers: one agent, with one data folder. Another folder of the same name's agent is another owner."""

    deployment: str
    agent: str
    #: The agent's data folder as the engine knows it.
    data_dir: Path

    @property
    def data_id(self) -> str:
        """A short digest of the folder."""
        return hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:8]

    @property
    def labels(self) -> Mapping[str, str]:
        """What all containers of this owner carry, and no others."""
        return {SYSTEM: _SYSTEM_NAME, DEPLOYMENT: self.deployment, AGENT: self.agent, DATA: self.data_id}

    def container_name(self, server: str) -> str:
        """Return the one name of the container of a server."""
        return f"isthmus-{self.deployment}.{self.agent}-{self.data_id}-{server}"


def labels_of(spec: ServerSpec, *, owner: Owner, incarnation: str, address: str) -> Mapping[str, str]:
    """Return the labels of a new container."""
    return {
        **owner.labels,
        SERVER: server_name(spec),
        LOCATION: spec.location,
        GENERATION: str(spec.generation),
        SLOT: spec.slot,
        INCARNATION: incarnation,
        SPEC_HASH: spec_hash(spec),
        ADDRESS: address,
        STOP_TIMEOUT: str(spec.container.stop_timeout_s),
        CREATED_BY: f"isthmus-agent {version('isthmus-agent')}",
    }


def is_owned(labels: Mapping[str, str], *, owner: Owner) -> bool:
    """Whether a container is this owner's."""
    return all(labels.get(name) == value for name, value in owner.labels.items())


def server_of(labels: Mapping[str, str]) -> Server | None:
    """Read a server from its container's labels; None when they are not whole."""
    try:
        return Server(
            name=labels[SERVER],
            location=labels[LOCATION],
            generation=int(labels[GENERATION]),
            incarnation=labels[INCARNATION],
            address=labels[ADDRESS],
            slot=labels[SLOT],
        )
    except (KeyError, ValueError):
        return None


def stop_timeout_of(labels: Mapping[str, str]) -> float:
    """Read how long a container may take to end, seconds; 0 where it does not say so in earnest."""
    try:
        seconds = float(labels.get(STOP_TIMEOUT, "0"))
    except ValueError:
        return 0.0
    return seconds if 0 < seconds <= MOST_STOP_TIMEOUT_S else 0.0
