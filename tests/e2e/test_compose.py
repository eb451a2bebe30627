"""The stack that `make up` starts: the example's image is applied, and a run succeeds in a container of its own."""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from isthmus.v1.control_plane_pb2 import RUN_STATE_SUCCEEDED, LaunchRunRequest, LocationSettings
from isthmus.v1.instruction_pb2 import CodeSource, ContainerMount, ContainerSpec
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_FAILED, LOCATION_PHASE_SERVING
from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import UnauthenticatedError
from support.docker import built_image, container_ids, docker

# Images may have to be built, and five services have to come up.
pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stack:
    """A stack under a name of its own."""

    name: str
    api_address: str
    agent: str
    env_file: Path

    @property
    def data_volume(self) -> str:
        """Where the location keeps what outlives its containers."""
        return f"{self.name}-bike-share"

    def run(self, *arguments: str) -> str:
        environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": self.name,
            "ISTHMUS_NETWORK": f"{self.name}-agents",
            "ISTHMUS_AGENT_NAME": self.agent,
            "ISTHMUS_API_ADDRESS": self.api_address,
        }
        command = [sys.executable, str(ROOT / "scripts/stack"), *arguments, "--env-file", str(self.env_file)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"stack {arguments} failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def left_behind(self) -> list[str]:
        """What is there of the stack: containers, volumes and networks."""
        label = f"label=com.docker.compose.project={self.name}"
        kinds = (("ps", "--all", "--quiet"), ("volume", "ls", "--quiet"), ("network", "ls", "--quiet"))
        found = [line for kind in kinds for line in docker(*kind, "--filter", label).split()]
        return found + container_ids(label=f"isthmus.agent={self.agent}")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    name = f"isthmus-test-{secrets.token_hex(4)}"
    env_file = tmp_path_factory.mktemp("stack") / "env"
    stack = Stack(name=name, api_address=f"127.0.0.1:{_free_port()}", agent=f"agent-{name}", env_file=env_file)
    try:
        assert "All is up" in stack.run("up")
        yield stack
    finally:
        stack.run("down", "--volumes")
        # The stack's own volumes went with it; this one is the location's.
        docker("volume", "rm", "--force", stack.data_volume)
    assert stack.left_behind() == []
    assert not env_file.exists()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[ControlPlaneClient]:
    async with ControlPlaneClient(stack.api_address, deployment="default") as client:
        yield client


async def test_a_run_succeeds_in_a_container_of_its_own(stack: Stack, client: ControlPlaneClient) -> None:
    mounts = [ContainerMount(source=stack.data_volume, target="/data")]
    settings = LocationSettings(
        name="bike_share",
        source=CodeSource(module="bike_share.definitions"),
        container=ContainerSpec(image=built_image("bike-share"), mounts=mounts),
    )
    applied = await client.apply_location(settings)
    async for location in client.watch_location("bike_share"):
        assert location.phase != LOCATION_PHASE_FAILED, location.placements[0].report.failure
        if location.generation == applied.generation and location.phase == LOCATION_PHASE_SERVING:
            break
    serving = set(container_ids(label=f"isthmus.agent={stack.agent}"))

    run = await client.launch_run(
        LaunchRunRequest(location="bike_share", job_name="daily_trips", partition_key="2026-01-05")
    )
    seen: set[str] = set()
    async for update in client.watch_run(run.request.run.run_id):
        seen |= set(container_ids(label=f"isthmus.agent={stack.agent}", is_running=True))
        run = update.run if update.HasField("run") else run
    assert run.state == RUN_STATE_SUCCEEDED
    # It ran beside the code server that serves the location, not in it.
    assert seen - serving


def test_services_run_without_privileges_and_only_the_agent_holds_the_engine(stack: Stack) -> None:
    label = f"label=com.docker.compose.project={stack.name}"
    facts = json.loads(docker("inspect", *docker("ps", "--quiet", "--filter", label).split()))
    hosts = {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in facts}
    assert set(hosts) == {"rabbitmq", "postgres", "control-plane", "monitor", "agent"}
    for name in ("control-plane", "monitor", "agent"):
        config = hosts[name]["HostConfig"]
        assert (config["ReadonlyRootfs"], config["CapDrop"], config["Privileged"]) == (True, ["ALL"], False)
        assert "no-new-privileges:true" in config["SecurityOpt"]
    assert {hosts[name]["Config"]["User"] for name in ("control-plane", "monitor")} == {"10001:10001"}
    holders = [name for name, one in hosts.items() if any("docker.sock" in mount["Source"] for mount in one["Mounts"])]
    assert holders == ["agent"]
    # Code servers find the broker on this network, and nothing else of the control plane's side.
    agents = docker("network", "inspect", f"{stack.name}-agents", "--format", "{{range .Containers}}{{.Name}} {{end}}")
    assert {"agent", "rabbitmq"} <= {
        re.sub(r"^.*?[_-](agent|rabbitmq|postgres|control-plane|monitor)[_-]\d+$", r"\1", name)
        for name in agents.split()
    }
    assert not re.search(r"postgres|control-plane|monitor", agents)


@pytest.mark.parametrize("service", ["control-plane", "agent"])
def test_the_doctor_is_at_home_on_either_side(stack: Stack, service: str) -> None:
    label = f"label=com.docker.compose.project={stack.name}"
    (container,) = docker(
        "ps", "--quiet", "--filter", label, "--filter", f"label=com.docker.compose.service={service}"
    ).split()
    told = docker("exec", container, "isthmus", "doctor", "--json")
    found = {one["name"]: one for one in json.loads(told)}
    assert found["broker"]["level"] == found["permissions"]["level"] == "ok"
    assert ("database" in found) is (service == "control-plane")
    assert ("data folder" in found) is (service == "agent")


def test_passwords_are_the_stacks_own_and_readable_by_its_owner_alone(stack: Stack) -> None:
    assert stack.env_file.stat().st_mode & 0o077 == 0
    text = stack.env_file.read_text()
    assert len(set(re.findall(r"_PASSWORD=(\S{20,})", text))) == 2
    assert len(set(re.findall(r"_TOKEN=(\S{20,})", text))) == 1
    assert "All is up" in stack.run("up")
    assert stack.env_file.read_text() == text


async def test_the_api_asks_for_the_token_that_only_the_stacks_owner_has(stack: Stack) -> None:
    async with ControlPlaneClient(stack.api_address, token="not-the-token-of-this-stack") as stranger:
        with pytest.raises(UnauthenticatedError):
            await stranger.list_agents()


def test_nobody_beside_the_broker_reaches_its_erlang(stack: Stack) -> None:
    facts = json.loads(docker("inspect", docker("ps", "--quiet", *_of(stack, "rabbitmq")).strip()))
    addresses = [one["IPAddress"] for one in facts[0]["NetworkSettings"]["Networks"].values()]
    assert len(addresses) == 2
    for address in addresses:
        assert _is_reachable(address, 5672)
        for port in (4369, 25672):
            assert not _is_reachable(address, port), f"{port} answers on {address}"


def _of(stack: Stack, service: str) -> tuple[str, ...]:
    labels = (f"com.docker.compose.project={stack.name}", f"com.docker.compose.service={service}")
    return tuple(word for label in labels for word in ("--filter", f"label={label}"))


def _is_reachable(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True
