"""Where a location's definitions come from."""

from dataclasses import dataclass
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
    #: Whether what a run leaves running when it ends lives on.
    leave_children: bool = False

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
            leave_children=message.leave_children,
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
            leave_children=self.leave_children,
        )
        setattr(message, self.target_kind.value, self.target)
        return message
