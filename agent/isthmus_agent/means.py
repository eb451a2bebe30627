"""What an agent works with for as long as its process lives."""

from dataclasses import dataclass
from pathlib import Path

from isthmus_broker.publisher import Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry import TelemetryPublisher

from isthmus_agent.hosts.host import Host
from isthmus_agent.identity import Holder
from isthmus_agent.policy.judge import Policy
from isthmus_agent.settings import AgentSettings


@dataclass(frozen=True)
class Means:
    """What the process has once, however often it becomes the agent of its name."""

    settings: AgentSettings
    folder: Path
    #: The folder's own id.
    folder_id: str
    host: Host
    policy: Policy
    broker: BrokerSettings
    #: Whether the name is this process's.
    holder: Holder
    publisher: TelemetryPublisher
    #: Says good-bye when the queues have been let go already.
    farewell: TelemetryPublisher
    #: What the publishers publish over.
    connection: Publisher
