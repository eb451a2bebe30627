"""A code location as it is wanted: frozen facts, read from the contract's messages once, at the edge."""

from dataclasses import dataclass, field
from enum import Enum

from isthmus.v1 import instruction_pb2 as instruction


class TargetKind(Enum):
    """What a location's definitions are found by."""

    MODULE = "module"
    PYTHON_FILE = "python_file"
    PACKAGE = "package"
    AUTOLOAD_DEFS_MODULE = "autoload_defs_module"


@dataclass(frozen=True)
class CodeSource:
    """Where definitions come from, and the Python that imports them. Empty words mean the agent's own choice."""

    target_kind: TargetKind
    target: str
    attribute: str = ""
    working_directory: str = ""
    python_executable: str = ""
    current_directory: str = ""
    env_files: tuple[str, ...] = ()
    #: How a run's process comes about, as the contract says it.
    start: "instruction.StartMethod.ValueType" = instruction.START_METHOD_UNSPECIFIED

    @classmethod
    def from_proto(cls, message: instruction.CodeSource) -> "CodeSource":
        """Read the contract's form; without a target it names an empty module, which no server will load."""
        kind = TargetKind(message.WhichOneof("target") or TargetKind.MODULE.value)
        return cls(
            target_kind=kind,
            target=getattr(message, kind.value),
            attribute=message.attribute,
            working_directory=message.working_directory,
            python_executable=message.python_executable,
            current_directory=message.current_directory,
            env_files=tuple(message.env_files),
            start=message.start,
        )

    def to_proto(self) -> instruction.CodeSource:
        """Return the contract's form."""
        message = instruction.CodeSource(
            attribute=self.attribute,
            working_directory=self.working_directory,
            python_executable=self.python_executable,
            current_directory=self.current_directory,
            env_files=self.env_files,
            start=self.start,
        )
        setattr(message, self.target_kind.value, self.target)
        return message


class Isolation(Enum):
    """Where a run executes: off a location's long-lived code server, or in one of its own."""

    SHARED = "shared"
    DEDICATED = "dedicated"


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
_ISOLATIONS = {
    instruction.ISOLATION_SHARED: Isolation.SHARED,
    instruction.ISOLATION_DEDICATED: Isolation.DEDICATED,
}


@dataclass(frozen=True)
class LocationSpec:
    """One wanted location."""

    name: str
    generation: int
    source: CodeSource
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    #: The hash of a snapshot that the control plane holds, so that it need not be sent.
    known_snapshot_hash: str = ""
    #: Seconds; 0 for the agent's default.
    load_timeout_s: float = 0.0
    container: ContainerSpec = field(default_factory=ContainerSpec)
    #: None for the host's own way.
    isolation: Isolation | None = None
    #: How many dedicated servers wait, loaded, for a run.
    standby: int = 0
    #: Seconds after which idle servers end; 0 for never.
    idle_ttl_s: float = 0.0

    @classmethod
    def from_proto(cls, message: instruction.LocationSpec) -> "LocationSpec":
        """Read the contract's form."""
        return cls(
            name=message.name,
            generation=message.generation,
            source=CodeSource.from_proto(message.source),
            env=tuple(sorted(message.env.items())),
            known_snapshot_hash=message.known_snapshot_hash,
            load_timeout_s=message.load_timeout_s,
            container=ContainerSpec.from_proto(message.container),
            isolation=_ISOLATIONS.get(message.isolation),
            standby=message.standby,
            idle_ttl_s=message.idle_ttl_s,
        )
