"""The agent's settings: environment variables `ISTHMUS_AGENT_*`, and `ISTHMUS_BROKER_URL`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from isthmus_broker.topology import NAME_PATTERN
from isthmus_lifecycle import settings
from pydantic import AfterValidator, ByteSize, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from isthmus_agent.desired.container import Limits
from isthmus_agent.hosts.docker.options import DEFAULT_PIDS, DEFAULT_URL, DockerOptions
from isthmus_agent.identity import GHOST_S

_PREFIX = "ISTHMUS_AGENT_"
_BROKER_VARIABLE = "ISTHMUS_BROKER_URL"
#: What to do about a missing variable.
_REMEDIES = {
    _BROKER_VARIABLE: "set it to RabbitMQ's address with the agent's account, as in amqp://user:password@host:5672/vhost",
    "ISTHMUS_AGENT_NAME": "set it to the name that `isthmus agent create` was given",
}


def _checked_name(name: str) -> str:
    if not NAME_PATTERN.fullmatch(name):
        raise ValueError("use up to 63 small letters, digits, - and _, with a letter or digit at both ends")
    return name


Name = Annotated[str, AfterValidator(_checked_name)]


class AgentSettings(BaseSettings):
    """How one agent works. Every value comes from the environment, or from whoever embeds the agent."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="ignore", frozen=True, populate_by_name=True)

    #: Who this agent is, as in `isthmus agent create NAME`.
    name: Name
    #: The deployment that it belongs to.
    deployment: Name = "default"
    #: AMQP address of the broker with the agent's account.
    broker_url: SecretStr = Field(validation_alias=_BROKER_VARIABLE)
    #: AMQP address that code servers are given; the agent's own when empty.
    code_server_broker_url: SecretStr = SecretStr("")
    #: Everything that must survive a restart: servers, runs, the desired set. A folder among the
    #: user's state without it.
    data_dir: Path | None = None
    #: Where the sockets lie: short and private. A folder of this data_dir's own when not set.
    runtime_dir: Path | None = None
    #: Where code servers run: as processes beside the agent, or in containers of a Docker engine.
    host: Literal["process", "docker"] = "process"
    #: Address of the Docker engine: `unix://` or, without encryption, `tcp://`.
    docker_url: str = Field(default=DEFAULT_URL, pattern="^(unix|tcp)://.")
    #: The agent's own container, by id or name, where it cannot be found out.
    container: str = ""
    #: The network of containers whose location names none: the broker must be reachable there.
    network: str = ""
    #: Memory of containers whose location says nothing of it; 0 for no limit.
    container_memory: ByteSize = ByteSize(0)
    #: Processors of containers whose location says nothing of them, as in 1.5; 0 for no limit.
    container_cpus: float = Field(default=0.0, ge=0)
    #: Processes and threads of containers whose location says nothing of them; 0 for no limit.
    container_pids: int = Field(default=DEFAULT_PIDS, ge=0)
    #: Seconds that a container may take to end before the engine kills it, when it is not the agent that stops it.
    container_stop_timeout_s: float = Field(default=30.0, ge=0)
    #: Seconds for which a container that failed is kept to be looked at.
    failed_containers_kept_s: float = Field(default=3600.0, ge=0)
    #: Seconds for which an image that the agent pulled is kept after no location needs it any more; 0 for ever.
    superseded_images_kept_s: float = Field(default=7 * 86_400.0, ge=0)
    #: How large a file of a container's output gets, like "10m".
    container_log_max_size: str = Field(default="10m", pattern="^[0-9]+[kmg]?$")
    #: How many files of a container's output are kept.
    container_log_max_files: int = Field(default=3, ge=1)
    #: How often pulling an image is tried.
    pull_tries: int = Field(default=3, ge=1)
    #: Credentials of registries, in the form of Docker's config.json; read anew for each pull.
    registry_config_file: Path | None = None
    #: Names of the agent's environment variables that user code in processes gets beside the usual ones: with shell
    #: wildcards, divided by commas.
    passed_env: str = ""
    #: Folders from which an interpreter that has no code server is lent one, by the interpreter; they come last on its path.
    lent_paths: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    #: The owner's allow-lists, as TOML. Without one all is allowed but what gives away the engine's machine.
    policy_file: Path | None = None
    #: The broker account that instructions must come from; any when empty.
    allowed_sender: str = ""
    #: How many instructions may be in hand, per queue. One that waits for a location or a server is none of them.
    prefetch: int = Field(default=100, ge=1, le=1000)
    #: Seconds between two signs of life.
    heartbeat_s: float = Field(default=5.0, gt=0)
    #: Seconds that importing a location may take when it does not say so itself.
    load_timeout_s: float = Field(default=300.0, gt=0)
    #: Seconds that a question waits at the most for its location to load. A launch waits so much longer than an import of its
    #: location may take.
    location_wait_s: float = Field(default=60.0, gt=0)
    #: Seconds that a run may take to clean up when it is told to stop.
    cancel_grace_s: float = Field(default=30.0, gt=0)
    #: Seconds that an instruction in hand may take to finish when the agent stops.
    drain_timeout_s: float = Field(default=20.0, ge=0)
    #: First wait before a code server that died is started again; it doubles up to the maximum.
    restart_min_s: float = Field(default=0.5, gt=0)
    #: Longest wait before a code server that died is started again.
    restart_max_s: float = Field(default=60.0, gt=0)
    #: Seconds for which the files of an ended run are kept; 0 for ever.
    run_files_kept_s: float = Field(default=7 * 86_400.0, ge=0)
    #: Whether an agent whose name another process has waits until that is gone; it exits otherwise.
    stands_by: bool = True
    #: Seconds for which a broken connection of the agent's own may be taken for alive by the broker: only a name that is
    #: refused for longer is another process's.
    ghost_s: float = Field(default=GHOST_S, gt=0)
    #: Whether nobody else can be the agent of this name, as whoever embeds an agent may know: then what it served last is
    #: started before the broker is reached, and the broker may be starting, too.
    is_alone: bool = False
    #: Whether code servers end with the agent. A service leaves them, and adopts them when it is back.
    stops_servers_on_exit: bool = False

    @property
    def folder(self) -> Path:
        """The data_dir, or a folder of this agent's own among the user's state."""
        if self.data_dir is not None:
            return self.data_dir
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(state) / "isthmus" / f"{self.deployment}.{self.name}"

    @property
    def passed_env_names(self) -> tuple[str, ...]:
        """The patterns of `passed_env`."""
        return tuple(name for part in self.passed_env.split(",") if (name := part.strip()))

    @property
    def docker(self) -> DockerOptions:
        """What the docker host is told."""
        return DockerOptions(
            url=self.docker_url,
            container=self.container,
            network=self.network,
            limits=Limits(self.container_memory, self.container_cpus, self.container_pids),
            stop_timeout_s=self.container_stop_timeout_s,
            failed_kept_s=self.failed_containers_kept_s,
            superseded_images_kept_s=self.superseded_images_kept_s,
            pull_tries=self.pull_tries,
            registry_config=self.registry_config_file,
            log_max_size=self.container_log_max_size,
            log_max_files=self.container_log_max_files,
        )

    @property
    def server_broker_url(self) -> str:
        """The broker address that code servers are given."""
        return self.code_server_broker_url.get_secret_value() or self.broker_url.get_secret_value()


def load_settings() -> AgentSettings:
    """Read the settings from the environment.

    Raises:
        SettingsError: Has a line for each variable that is missing or wrong.
    """
    return settings.load_settings(AgentSettings, remedies=_REMEDIES)
