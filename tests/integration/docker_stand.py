"""An agent on its stand whose code servers are containers of a real engine."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from integration.agent_stand import AgentStand, agent_stand
from isthmus.v1.instruction_pb2 import ContainerMount, LocationSpec
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_SERVING
from isthmus_agent.hosts.docker.labels import Owner
from support.docker import container_ids, docker, remove_containers

#: Behind the stand's project: jobs that end in ways of their own.
_MORE = dedent(
    """
    import signal, subprocess

    @op
    def eats():
        eaten = [b"x" * 1_000_000 for _ in range(2000)]

    @op
    def leaves():
        print("good-bye", flush=True)
        os._exit(3)

    @job(executor_def=in_process_executor)
    def greedy_job():
        eats()

    @job(executor_def=in_process_executor)
    def leaving_job():
        leaves()

    @op
    def has_a_greedy_child():
        eater = subprocess.run([sys.executable, "-c", "eaten = [b'x' * 1_000_000 for _ in range(2000)]"])
        return eater.returncode

    @op
    def is_killed(killed_before: int):
        assert killed_before == -signal.SIGKILL
        note("killed")
        os.kill(os.getpid(), signal.SIGKILL)

    @job
    def greedy_steps_job():
        eats()

    @job
    def killed_steps_job():
        is_killed(has_a_greedy_child())

    defs = Definitions(
        jobs=[quick_job, endless_job, greedy_job, leaving_job, greedy_steps_job, killed_steps_job]
    )
    """
)


@dataclass(frozen=True)
class DockerStand:
    stand: AgentStand
    image: str

    @property
    def label(self) -> str:
        return f"isthmus.data={Owner('test', 'edge', self.stand.data_dir).data_id}"

    @property
    def containers(self) -> list[dict[str, object]]:
        ids = container_ids(label=self.label)
        made: list[dict[str, object]] = json.loads(docker("inspect", *ids)) if ids else []
        return made

    def agent(self, **overrides: object) -> AbstractAsyncContextManager[object]:
        policy = self.stand.folder / "policy.toml"
        # The private broker listens on this machine's loopback alone.
        policy.write_text(f'networks = ["host"]\nmounts = ["{self.stand.notes}", "{self.stand.folder}/code"]\n')
        return self.stand.agent(host="docker", policy_file=policy, network="host", **overrides)

    def location(self, *, generation: int = 1, name: str = "sales", **env: str) -> LocationSpec:
        spec = LocationSpec(name=name, generation=generation)
        spec.source.python_file = "/code/project.py"
        spec.env.update({"NOTES": "/notes", **env})
        spec.container.image = self.image
        spec.container.mounts.extend(
            [
                ContainerMount(source=f"{self.stand.folder}/code", target="/code", is_read_only=True),
                ContainerMount(source=str(self.stand.notes), target="/notes"),
            ]
        )
        return spec

    async def serve(self, spec: LocationSpec) -> None:
        await self.stand.sync(spec)
        await self.stand.report(LOCATION_PHASE_SERVING, generation=spec.generation)

    def dedicated(self) -> list[str]:
        """The containers that take one run each."""
        return [
            str(container["Id"])
            for container in self.containers
            if container["Config"]["Labels"]["isthmus.slot"]  # type: ignore[index]
        ]


@asynccontextmanager
async def docker_stand(*, url: str, folder: Path, image: str) -> AsyncIterator[DockerStand]:
    """A stand whose agent was not started yet, and whose containers are gone afterwards."""
    async with agent_stand(url=url, folder=folder) as stand:
        code = folder / "code"
        code.mkdir()
        project = (folder / "project.py").rename(code / "project.py")
        project.write_text(project.read_text() + _MORE)
        stand.notes.chmod(0o777)
        made = DockerStand(stand, image)
        try:
            yield made
        finally:
            remove_containers(label=made.label)
