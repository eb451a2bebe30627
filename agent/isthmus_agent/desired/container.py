"""What a container is made from."""

from dataclasses import dataclass, field
from enum import Enum

from isthmus.v1 import instruction_pb2 as instruction


class PullPolicy(Enum):
    """When an image is pulled."""

    ALWAYS = "always"
    IF_MISSING = "if-missing"
    NEVER = "never"


@dataclass(frozen=True)
class Limits:
    """What a container may use; 0 for the agent's default."""

    memory_bytes: int = 0
    cpus: float = 0.0
    pids: int = 0


@dataclass(frozen=True)
class Mount:
    """A volume, by name, or a folder of the engine's machine, by absolute path, and where it appears."""

    source: str
    target: str
    is_read_only: bool = False

    @property
    def is_host_path(self) -> bool:
        """Whether it is a folder of the engine's machine."""
        return self.source.startswith("/")


@dataclass(frozen=True)
class ContainerSpec:
    """What a container is made from. Empty values mean the agent's own choice."""

    image: str = ""
    pull_policy: PullPolicy = PullPolicy.IF_MISSING
    command: tuple[str, ...] = ()
    user: str = ""
    networks: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    limits: Limits = field(default_factory=Limits)
    tmpfs: tuple[str, ...] = ()
    is_root_writable: bool = False
    capabilities: tuple[str, ...] = ()
    is_privileged: bool = False
    #: Seconds.
    stop_timeout_s: float = 0.0

    @classmethod
    def from_proto(cls, message: instruction.ContainerSpec) -> "ContainerSpec":
        """Read the contract's form."""
        limits = message.limits
        return cls(
            image=message.image,
            pull_policy=_PULL_POLICIES.get(message.pull_policy, PullPolicy.IF_MISSING),
            command=tuple(message.command),
            user=message.user,
            networks=tuple(message.networks),
            mounts=tuple(Mount(mount.source, mount.target, mount.is_read_only) for mount in message.mounts),
            limits=Limits(limits.memory_bytes, limits.cpus, limits.pids),
            tmpfs=tuple(message.tmpfs),
            is_root_writable=message.is_root_writable,
            capabilities=tuple(message.capabilities),
            is_privileged=message.is_privileged,
            stop_timeout_s=message.stop_timeout_s,
        )


_PULL_POLICIES = {
    instruction.PULL_POLICY_ALWAYS: PullPolicy.ALWAYS,
    instruction.PULL_POLICY_IF_MISSING: PullPolicy.IF_MISSING,
    instruction.PULL_POLICY_NEVER: PullPolicy.NEVER,
}
