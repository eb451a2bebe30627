"""What a file of locations says of the containers that a location's code runs in."""

import re
from typing import Annotated, Final, Literal

from isthmus.v1.instruction_pb2 import (
    PULL_POLICY_ALWAYS,
    PULL_POLICY_IF_MISSING,
    PULL_POLICY_NEVER,
    PULL_POLICY_UNSPECIFIED,
    ContainerLimits,
    ContainerMount,
    ContainerSpec,
)
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?i?B)?")
_UNITS: Final = {
    **{unit: 1000**power for power, unit in enumerate(("B", "kB", "MB", "GB", "TB"))},
    **{unit: 1024**power for power, unit in enumerate(("B", "KiB", "MiB", "GiB", "TiB")) if power},
    "KB": 1000,
}
_PULL_POLICIES: Final = {
    "": PULL_POLICY_UNSPECIFIED,
    "always": PULL_POLICY_ALWAYS,
    "if-missing": PULL_POLICY_IF_MISSING,
    "never": PULL_POLICY_NEVER,
}


def bytes_of(size: object) -> int:
    """Read a size such as 512MB, 1.5GiB, or a number of bytes.

    Raises:
        ValueError: Says what to write instead.
    """
    match = _SIZE.fullmatch(str(size).strip())
    unit = (match[2] or "B") if match else ""
    if match is None or unit not in _UNITS or isinstance(size, bool):
        raise ValueError(f"write a size as 512MB, 1GiB, or a number of bytes; got {size!r}")
    return int(float(match[1]) * _UNITS[unit])


Size = Annotated[int, BeforeValidator(bytes_of)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MountEntry(_Entry):
    """A volume, by name, or a folder of the engine's machine, by absolute path, and where it appears."""

    #: The volume's name, or the folder's absolute path.
    source: str
    #: Where it appears in the container.
    target: str
    #: Whether it can only be read.
    read_only: bool = False


class LimitsEntry(_Entry):
    """What a container may use; 0 for the agent's default."""

    #: Memory, as in 512MB or 1GiB, or bytes.
    memory: Size = 0
    #: Processors, as in 1.5.
    cpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    #: Processes and threads.
    pids: Annotated[int, Field(ge=0, lt=2**32)] = 0


class ContainerEntry(_Entry):
    """What containers are made from. Empty values are the agent's choice."""

    #: The image that the code runs in.
    image: str = ""
    #: When the image is pulled; `if-missing` without it.
    pull_policy: Literal["", "always", "if-missing", "never"] = ""
    #: What starts the code server, in place of `isthmus-code-server`.
    command: list[str] = Field(default_factory=list)
    #: `uid`, `uid:gid` or a name; without it, the image's own.
    user: str = ""
    #: The networks that it is on; without them, the agent's default.
    networks: list[str] = Field(default_factory=list)
    #: Volumes and folders that it is given.
    mounts: list[MountEntry] = Field(default_factory=list)
    #: What it may use.
    limits: LimitsEntry = Field(default_factory=LimitsEntry)
    #: Paths that are writable and kept in memory, beside /tmp.
    tmpfs: list[str] = Field(default_factory=list)
    #: Whether the image's own files may be changed.
    root_writable: bool = False
    #: Capabilities beyond none at all, as in NET_RAW.
    capabilities: list[str] = Field(default_factory=list)
    #: Whether it is root on the engine's machine: refused unless its owner allows it.
    privileged: bool = False
    #: Seconds that it may take to end before it is killed; 0 for the agent's default.
    stop_timeout_s: Annotated[float, Field(ge=0)] = 0.0

    def to_spec(self) -> ContainerSpec:
        """Build the contract's message."""
        return ContainerSpec(
            image=self.image,
            pull_policy=_PULL_POLICIES[self.pull_policy],
            command=self.command,
            user=self.user,
            networks=self.networks,
            mounts=[
                ContainerMount(source=mount.source, target=mount.target, is_read_only=mount.read_only)
                for mount in self.mounts
            ],
            limits=ContainerLimits(memory_bytes=self.limits.memory, cpus=self.limits.cpus, pids=self.limits.pids),
            tmpfs=self.tmpfs,
            is_root_writable=self.root_writable,
            capabilities=self.capabilities,
            is_privileged=self.privileged,
            stop_timeout_s=self.stop_timeout_s,
        )
