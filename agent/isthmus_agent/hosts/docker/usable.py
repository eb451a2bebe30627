"""Which volumes and networks of an engine containers may be given: an engine has those of other services, too.

Where the agent's owner lists them, the policy has judged. Otherwise they say so themselves, by a label.
"""

from isthmus_agent.hosts.docker.engine import Engine
from isthmus_agent.hosts.docker.options import DockerOptions
from isthmus_agent.hosts.errors import ServerStartError
from isthmus_agent.hosts.host import ServerSpec

#: What a volume or a network carries that is meant for containers of locations.
USABLE_LABEL, USABLE_VALUE = "isthmus.usable", "true"
#: The engine's own networks that join a container to nobody's service.
_OPEN_NETWORKS = frozenset({"bridge", "default", "none"})


async def check_usable(spec: ServerSpec, *, server: str, engine: Engine, options: DockerOptions) -> None:
    """Hold a server to volumes and networks that are meant for it. A volume that is not there yet is made, with the label.

    Raises:
        ServerStartError: one of them is not.
    """
    volumes = {mount.source for mount in spec.container.mounts if not mount.is_host_path}
    for name in sorted(volumes) if not options.are_volumes_listed else ():
        labels = await engine.volume_labels(name)
        if labels is None:
            await engine.create_volume(name, labels={USABLE_LABEL: USABLE_VALUE})
        elif labels.get(USABLE_LABEL) != USABLE_VALUE:
            raise ServerStartError(server=server, problem=_problem("volume", name, rule="mounts"))
    networks = set(spec.container.networks) - _OPEN_NETWORKS - {options.network}
    for name in sorted(networks) if not options.are_networks_listed else ():
        labels = await engine.network_labels(name)
        if labels is not None and labels.get(USABLE_LABEL) != USABLE_VALUE:
            raise ServerStartError(server=server, problem=_problem("network", name, rule="networks"))


def _problem(kind: str, name: str, *, rule: str) -> str:
    return (
        f"the {kind} {name} is not meant for locations: it has no label {USABLE_LABEL}={USABLE_VALUE}. "
        f"Make it with that label, or let the agent's owner list it in {rule} of the policy"
    )
