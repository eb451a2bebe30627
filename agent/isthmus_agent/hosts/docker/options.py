"""How the docker host works: what the agent's owner chose for all containers."""

from dataclasses import dataclass, field
from pathlib import Path

from isthmus_agent.desired.container import Limits

#: Where the engine listens unless told otherwise.
DEFAULT_URL = "unix:///var/run/docker.sock"
#: Keeps a fork bomb from taking the machine, and is far above what a run needs.
DEFAULT_PIDS = 4096


@dataclass(frozen=True)
class DockerOptions:
    """What holds for all containers of an agent unless their location says otherwise."""

    url: str = DEFAULT_URL
    #: Longest wait for an answer of the engine, seconds: creating and starting take long on a busy machine.
    call_timeout_s: float = 120.0
    #: How long the engine is asked what became of a container that died, seconds; then its end is told without.
    look_back_s: float = 60.0
    #: How long a container is looked at after its start, seconds: less than any import takes, so that nobody waits for it.
    beginning_s: float = 0.2
    #: The agent's own container, by id or name; found by itself where that is possible.
    container: str = ""
    #: Where containers find the broker; the engine's default bridge when empty.
    network: str = ""
    #: Whether the owner's policy lists the volumes and the networks that containers may have: then it has judged them.
    are_volumes_listed: bool = False
    are_networks_listed: bool = False
    limits: Limits = field(default_factory=lambda: Limits(pids=DEFAULT_PIDS))
    #: Seconds that a container may take to end when it is not the agent that stops it.
    stop_timeout_s: float = 30.0
    #: Seconds for which a container that failed is kept, for a person to look at.
    failed_kept_s: float = 3600.0
    #: Seconds after which a container of ours that no server is known for is removed.
    orphan_grace_s: float = 60.0
    #: Seconds for which an image that the agent pulled is kept after nothing is started from it any more; 0 for ever.
    superseded_images_kept_s: float = 7 * 86_400.0
    #: How often pulling an image is tried, and the first wait in between, seconds; it doubles.
    pull_tries: int = 3
    pull_retry_s: float = 1.0
    #: Docker's config.json with the registries' credentials; read anew for each pull.
    registry_config: Path | None = None
    #: How large one file of a container's output gets, in the engine's words, and how many there are.
    log_max_size: str = "10m"
    log_max_files: int = 3
