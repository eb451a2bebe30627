"""Which host an agent has: its settings say so."""

from dataclasses import replace
from pathlib import Path

from isthmus_agent.hosts.host import Host
from isthmus_agent.hosts.process.host import ProcessHost
from isthmus_agent.hosts.process.launch import Launching
from isthmus_agent.hosts.process.sockets import default_runtime_dir
from isthmus_agent.policy.containers import default_limits
from isthmus_agent.policy.judge import Policy
from isthmus_agent.settings import AgentSettings


def host_of(settings: AgentSettings, folder: Path, *, policy: Policy) -> Host:
    """Return the host, which the caller enters and leaves; its files lie in `folder`."""
    if settings.host == "docker":
        # An agent of processes does without an HTTP client.
        from isthmus_agent.hosts.docker.host import DockerHost

        options = replace(
            settings.docker,
            limits=default_limits(settings.docker.limits, policy=policy),
            are_volumes_listed=policy.mounts is not None,
            are_networks_listed=policy.networks is not None,
        )
        return DockerHost(options, data_dir=folder, deployment=settings.deployment, agent=settings.name)
    return ProcessHost(
        servers_dir=folder / "servers",
        runtime_dir=settings.runtime_dir or default_runtime_dir(folder),
        deployment=settings.deployment,
        agent=settings.name,
        launching=Launching(passed_env=settings.passed_env_names + policy.passed_env, lent_paths=settings.lent_paths),
    )
