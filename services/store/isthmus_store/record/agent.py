"""Agents, and what they tell of themselves."""

from dataclasses import dataclass
from datetime import datetime

from isthmus_store.record.run import AttemptRef
from isthmus_store.state import AgentState


@dataclass(frozen=True, kw_only=True, slots=True)
class NewAgent:
    """An agent to be created."""

    deployment: str
    name: str
    pool: str
    #: The broker account that its messages must carry; empty for the monitor's own.
    broker_user: str
    created_at: datetime
    #: The broker account of its code servers; empty when they share the agent's own.
    code_server_broker_user: str = ""


@dataclass(frozen=True, slots=True)
class Standby:
    """The dedicated code servers of a location that wait on an agent for a run."""

    location: str
    ready: int
    wanted: int
    memory_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Agent:
    """An agent as it stands."""

    deployment: str
    name: str
    pool: str
    state: AgentState
    broker_user: str
    created_at: datetime
    last_heard_at: datetime | None
    started_at: datetime | None
    #: One life of its process; empty while it was never heard.
    incarnation: str
    version: str
    #: The revision of desired locations that it says it works towards.
    desired_revision: int
    active_runs: tuple[AttemptRef, ...]
    #: The revision of what it should hold (`agents.bump_sync`), and the life that SyncLocations was last written for.
    sync_revision: int
    synced_incarnation: str
    #: Of each location that has any, or wants some.
    standbys: tuple[Standby, ...] = ()
    #: Lives of its process that were superseded, the latest last: what they say of the agent counts no more.
    former_incarnations: tuple[str, ...] = ()
    #: The broker account of its code servers; empty when they share the agent's own.
    code_server_broker_user: str = ""
    #: The folder in which it remembers what it has taken from its queue; empty while it has not named one.
    folder_id: str = ""
    #: Since when it is heard from this folder; None for one that was never heard from another.
    folder_since: datetime | None = None
    #: How long it lets an import take where the location does not say so, seconds; 0 while it has not told.
    load_timeout_s: float = 0.0
    #: The branch deployments of which it says that it keeps anything.
    branches: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentHeard:
    """What one heartbeat says of an agent."""

    deployment: str
    name: str
    state: AgentState
    heard_at: datetime
    started_at: datetime | None
    incarnation: str
    version: str
    desired_revision: int
    active_runs: tuple[AttemptRef, ...]
    standbys: tuple[Standby, ...] = ()
    former_incarnations: tuple[str, ...] = ()
    folder_id: str = ""
    folder_since: datetime | None = None
    load_timeout_s: float = 0.0
    branches: tuple[str, ...] = ()
