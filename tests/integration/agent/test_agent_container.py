"""The agent itself as a container, beside those of its code servers, with the rights that compose.yaml gives it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
from integration.agent_stand import AgentStand, agent_stand, new_run
from isthmus.v1.instruction_pb2 import ContainerMount, LocationSpec
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_SERVING, InstructionResult
from isthmus_agent.hosts.docker.labels import Owner
from support.docker import built_image, container_ids, docker, remove_containers
from support.eventually import eventually

pytestmark = pytest.mark.timeout(180)

SUCCEEDED = InstructionResult.OUTCOME_SUCCEEDED

_RUNS = 5
_DATA_DIR = "/var/lib/isthmus"
_MORE = dedent(
    """
    @op
    def waits(context):
        note(f"began-{context.run_id}")
        while not (Path(os.environ["NOTES"]) / "go").exists():
            time.sleep(0.02)

    @job(executor_def=in_process_executor)
    def waiting_job():
        waits()

    defs = Definitions(jobs=[quick_job, endless_job, waiting_job])
    """
)


@dataclass(frozen=True)
class ContainedAgent:
    stand: AgentStand
    name: str
    code_server_image: str

    @property
    def label(self) -> str:
        folder = Path(docker("volume", "inspect", "--format", "{{.Mountpoint}}", self.name))
        return f"isthmus.data={Owner('test', 'edge', folder).data_id}"

    def start(self, image: str) -> None:
        policy = self.stand.folder / "policy.toml"
        policy.write_text(f'networks = ["host"]\nmounts = ["{self.stand.notes}", "{self.stand.folder}/code"]\n')
        settings = {
            "ISTHMUS_BROKER_URL": self.stand.broker.url,
            "ISTHMUS_AGENT_NAME": "edge",
            "ISTHMUS_AGENT_DEPLOYMENT": "test",
            "ISTHMUS_AGENT_NETWORK": "host",
            "ISTHMUS_AGENT_HEARTBEAT_S": "0.5",
            "ISTHMUS_AGENT_POLICY_FILE": "/policy.toml",
        }
        # The private broker listens on this machine's loopback alone.
        where = ("--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL")
        rights = [f"--cap-add={name}" for name in ("CHOWN", "DAC_OVERRIDE", "FOWNER")]
        volumes = (
            f"--volume={self.name}:{_DATA_DIR}",
            f"--volume={policy}:/policy.toml:ro",
            "--volume=/var/run/docker.sock:/var/run/docker.sock",
        )
        env = [f"--env={variable}={value}" for variable, value in settings.items()]
        docker("run", "--detach", "--name", self.name, *where, *rights, *volumes, *env, image)

    def location(self) -> LocationSpec:
        spec = LocationSpec(name="sales", generation=1)
        spec.source.python_file = "/code/project.py"
        spec.env["NOTES"] = "/notes"
        spec.container.image = self.code_server_image
        code = ContainerMount(source=f"{self.stand.folder}/code", target="/code", is_read_only=True)
        spec.container.mounts.extend([code, ContainerMount(source=str(self.stand.notes), target="/notes")])
        return spec


@pytest.fixture
async def agent(broker_url: str, tmp_path: Path, code_server_image: str) -> AsyncIterator[ContainedAgent]:
    image = built_image("agent")
    async with agent_stand(url=broker_url, folder=tmp_path) as stand:
        (tmp_path / "code").mkdir()
        project = (tmp_path / "project.py").rename(tmp_path / "code" / "project.py")
        project.write_text(project.read_text() + _MORE)
        stand.notes.chmod(0o777)
        made = ContainedAgent(stand, f"isthmus-test-{stand.reply_to[:12]}", code_server_image)
        docker("volume", "create", made.name)
        try:
            made.start(image)
            yield made
        finally:
            docker("rm", "--force", made.name)
            remove_containers(label=made.label)
            docker("volume", "rm", made.name)


async def test_a_killed_agent_container_adopts_all_runs_when_it_is_back(agent: ContainedAgent) -> None:
    it = agent.stand
    await it.sync(agent.location())
    await it.report(LOCATION_PHASE_SERVING)
    runs = [new_run() for _ in range(_RUNS)]
    results = await asyncio.gather(*(it.start("waiting_job", run) for run in runs))
    assert [result.outcome for result in results] == [SUCCEEDED] * _RUNS
    await eventually(lambda: all(it.noted(f"began-{run.run_id}") for run in runs), within=30)
    before = container_ids(label=agent.label)
    assert len(before) == _RUNS + 1
    reported = len(it.reports())
    docker("kill", "--signal", "KILL", agent.name)
    docker("start", agent.name)
    # From here on it is the second life that speaks: what the first one had said may still come.
    await it.report(LOCATION_PHASE_SERVING, after=reported)
    heard = len(it.events)
    await eventually(
        lambda: any(len(event.agent_heartbeat.active_runs) == _RUNS for event in it.events[heard:]), within=20
    )
    assert set(container_ids(label=agent.label)) == set(before)
    (it.notes / "go").touch()
    for run in runs:
        assert (await it.end(run)).HasField("run_succeeded")
        assert len(it.noted(f"began-{run.run_id}")) == 1
    # What belongs is the location's own.
    await eventually(lambda: len(container_ids(label=agent.label)) == 1, within=10)
