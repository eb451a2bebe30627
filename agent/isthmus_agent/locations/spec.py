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
        )
