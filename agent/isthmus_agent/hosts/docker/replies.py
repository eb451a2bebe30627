"""What the engine answers, checked where it comes in."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

_NEVER = datetime(1, 1, 1, tzinfo=UTC)
#: What a size or a number of the engine is held to, with room for arithmetic in 64 bits.
_LARGEST = 2**60
#: An exit code has fewer digits.
_MOST_DIGITS = 12


def _or_empty(value: object) -> object:
    """The engine says null where it means nothing at all."""
    return {} if value is None else value


def _or_none(value: object) -> object:
    return () if value is None else value


def _bounded(value: int) -> int:
    return min(max(value, 0), _LARGEST)


def _exit_code(value: int | None) -> int | None:
    """Return an exit code; None for what no process can end with."""
    return value if value is not None and -(2**31) <= value < 2**31 else None


Size = Annotated[int, AfterValidator(_bounded)]
Words = Annotated[Mapping[str, str], BeforeValidator(_or_empty)]


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ContainerState(_Reply):
    """How a container is."""

    status: str = Field(alias="Status")
    is_running: bool = Field(alias="Running")
    exit_code: Annotated[int | None, AfterValidator(_exit_code)] = Field(alias="ExitCode")
    was_memory_short: bool = Field(alias="OOMKilled", default=False)
    finished_at: AwareDatetime = Field(alias="FinishedAt", default=_NEVER)

    @property
    def has_run(self) -> bool:
        """Whether it was started at all."""
        return self.status != "created"


class _ContainerConfig(_Reply):
    labels: Words = Field(alias="Labels", default_factory=dict)


class ContainerLimits(_Reply):
    """What a container may use, as the engine has it; 0 for no limit."""

    memory: Size = Field(alias="Memory", default=0)
    nano_cpus: Size = Field(alias="NanoCpus", default=0)
    pids: int | None = Field(alias="PidsLimit", default=None)


class ContainerMount(_Reply):
    """A folder that a container sees, and where it lies on the engine's machine."""

    #: The name of the volume, where it is one.
    volume: str = Field(alias="Name", default="")
    source: str = Field(alias="Source", default="")
    destination: str = Field(alias="Destination")


class Container(_Reply):
    """A container, looked at closely."""

    id: str = Field(alias="Id")
    name: str = Field(alias="Name")
    created_at: AwareDatetime = Field(alias="Created")
    state: ContainerState = Field(alias="State")
    config: _ContainerConfig = Field(alias="Config")
    limits: ContainerLimits = Field(alias="HostConfig")
    mounts: tuple[ContainerMount, ...] = Field(alias="Mounts", default=())

    @property
    def labels(self) -> Mapping[str, str]:
        """All its labels, those of its image included."""
        return self.config.labels


class ListedContainer(_Reply):
    """A container in a list."""

    id: str = Field(alias="Id")
    state: str = Field(alias="State")
    labels: Words = Field(alias="Labels", default_factory=dict)

    @property
    def is_running(self) -> bool:
        """Whether processes of it live."""
        return self.state in {"running", "paused", "restarting"}


class Info(_Reply):
    """What the engine says of itself."""

    security: Annotated[tuple[str, ...], BeforeValidator(_or_none)] = Field(alias="SecurityOptions", default=())

    @property
    def is_rootless(self) -> bool:
        """Whether it runs without root: then root in a container is the engine's own user outside."""
        return any("name=rootless" in option for option in self.security)

    @property
    def has_users_of_its_own(self) -> bool:
        """Whether a user in a container has another number outside."""
        return self.is_rootless or any("name=userns" in option for option in self.security)


class Labelled(_Reply):
    """A volume or a network."""

    labels: Words = Field(alias="Labels", default_factory=dict)


class Created(_Reply):
    """The answer to a creation."""

    id: str = Field(alias="Id")


class _Actor(_Reply):
    id: str = Field(alias="ID")
    attributes: Words = Field(alias="Attributes", default_factory=dict)


class EngineEvent(_Reply):
    """Something that happened to a container."""

    action: str = Field(alias="Action")
    actor: _Actor = Field(alias="Actor")
    time_ns: Size = Field(alias="timeNano")

    @property
    def exit_code(self) -> int | None:
        """The exit code that came with it, where one did."""
        code = self.actor.attributes.get("exitCode", "")
        return _exit_code(int(code)) if code.isdecimal() and len(code) < _MOST_DIGITS else None


class _ImageConfig(_Reply):
    user: str = Field(alias="User", default="")


class Image(_Reply):
    """An image that the engine has."""

    id: str = Field(alias="Id", default="")
    config: _ImageConfig = Field(alias="Config", default_factory=_ImageConfig)


class _LayerProgress(_Reply):
    current: Size = 0
    total: Size = 0


class PullStep(_Reply):
    """One line of what the engine tells while it pulls."""

    layer: str = Field(alias="id", default="")
    status: str = ""
    progress: _LayerProgress = Field(alias="progressDetail", default_factory=_LayerProgress)
    error: str = ""


class _MemoryStats(_Reply):
    usage: Size = 0
    stats: Annotated[Mapping[str, Size], BeforeValidator(_or_empty)] = Field(default_factory=dict)


class Stats(_Reply):
    """What a container uses at this moment."""

    memory: _MemoryStats = Field(alias="memory_stats", default_factory=_MemoryStats)

    @property
    def memory_bytes(self) -> int:
        """What it holds, without the file pages that the kernel would give up first; as `docker stats` counts."""
        given_up = self.memory.stats.get("total_inactive_file", self.memory.stats.get("inactive_file", 0))
        return max(0, self.memory.usage - given_up)
