"""What all locations of an agent have in common, and what that makes of one that is desired."""

from dataclasses import dataclass, field
from pathlib import Path

from isthmus_agent.desired.location import LocationSpec
from isthmus_agent.hosts.host import ServerSpec
from isthmus_agent.policy.judge import Policy, judge
from isthmus_agent.servers.wanted import KeeperTiming, WantedLocation


@dataclass(frozen=True)
class RegistrySettings:
    """What all locations of an agent have in common."""

    deployment: str
    agent: str
    data_dir: Path
    broker_url: str = field(repr=False)
    heartbeat_interval_s: float
    cancel_grace_s: float
    load_timeout_s: float
    policy: Policy
    timing: KeeperTiming

    def runs_dir(self, location: str) -> Path:
        """Return the folder that holds the attempts of a location."""
        return self.data_dir / "runs" / location

    def wanted(self, spec: LocationSpec) -> WantedLocation:
        """Return a location of the desired set as it is to be served here, if the policy allows it."""
        server = ServerSpec(
            deployment=self.deployment,
            agent=self.agent,
            location=spec.name,
            generation=spec.generation,
            source=spec.source,
            container=spec.container,
            runs_dir=self.runs_dir(spec.name),
            broker_url=self.broker_url,
            env=dict(spec.env),
            heartbeat_interval_s=self.heartbeat_interval_s,
            cancel_grace_s=self.cancel_grace_s,
        )
        return WantedLocation(
            spec=server,
            verdict=judge(spec, policy=self.policy),
            known_snapshot_hash=spec.known_snapshot_hash,
            load_timeout_s=spec.load_timeout_s or self.load_timeout_s,
            isolation=spec.isolation,
            standby=spec.standby,
            idle_ttl_s=spec.idle_ttl_s,
        )
