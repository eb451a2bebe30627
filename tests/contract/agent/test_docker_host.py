"""The docker host keeps the contract of hosts, and some promises of its own, on a real engine."""

import asyncio
import json
import os
import signal
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from contract.agent.docker_kit import IMPATIENT, DockerKit, docker_kit
from contract.agent.host_contract import HostContract, next_exit
from isthmus_agent.desired.container import Limits, Mount, PullPolicy
from isthmus_agent.hosts.docker.engine import Engine
from isthmus_agent.hosts.docker.options import DEFAULT_URL
from isthmus_agent.hosts.docker.places import container_in, find_places
from isthmus_agent.hosts.errors import (
    DataFolderUnfitError,
    EngineUnavailableError,
    ImageUnavailableError,
    ServerStartError,
)
from isthmus_agent.hosts.host import ServerExit, StartStep
from support.docker import container_ids, docker
from support.eventually import eventually
from support.tcp_proxy import TcpProxy

_ENGINE = Path("/var/run/docker.sock")


@pytest.fixture
def kit(short_path: Path, code_server_image: str) -> Iterator[DockerKit]:
    with docker_kit(short_path, image=code_server_image) as kit:
        yield kit


class TestDockerHost(HostContract):
    """The contract, on containers."""


# ------------------------------------------------------------------------------------------------------- how they end


async def test_a_container_that_ate_its_memory_is_told_as_such(kit: DockerKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec(EAT="1000"))
        assert await next_exit(host) == ServerExit(server, signal=signal.SIGKILL, is_out_of_memory=True)


async def test_a_kill_by_the_engines_own_client_is_told_with_its_signal(kit: DockerKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec())
        docker("kill", kit.container(server))
        assert await next_exit(host) == ServerExit(server, signal=signal.SIGKILL)


async def test_a_container_that_was_removed_by_force_is_told_too(kit: DockerKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec())
        docker("rm", "--force", kit.container(server))
        ending = await next_exit(host)
        assert ending.server == server
        assert ending.exit_code != 0


async def test_what_succeeded_is_removed_and_what_failed_is_kept(kit: DockerKit) -> None:
    async with kit.host() as host:
        good = await host.start(kit.spec(generation=1, EXIT="0", SAY="all well"))
        await next_exit(host)
        bad = await host.start(kit.spec(generation=2, EXIT="3", SAY="no good"))
        await next_exit(host)
        await eventually(lambda: container_ids(label=f"isthmus.incarnation={good.incarnation}") == [], within=5)
        kept = kit.container(bad)
        # The output outlives the container.
        assert await host.tail(good, max_bytes=1000) == "all well"
        assert await host.tail(bad, max_bytes=4) == "good"
        # The name is free for another life.
        again = await host.start(kit.spec(generation=2, EXIT="3", SAY="no good"))
        assert again.name == bad.name
        await next_exit(host)
        assert set(container_ids(label=kit.label)) == {kept, kit.container(again)}


async def test_what_failed_is_removed_after_its_time(kit: DockerKit) -> None:
    async with kit.host(replace(IMPATIENT, failed_kept_s=0.5)) as host:
        await host.list()
        await host.start(kit.spec(EXIT="3"))
        await next_exit(host)
        await eventually(lambda: container_ids(label=kit.label) == [], within=10)


async def test_what_failed_is_kept_over_a_restart_and_no_longer_than_its_time_from_its_end(kit: DockerKit) -> None:
    async with kit.host() as host:
        bad = await host.start(kit.spec(EXIT="3"))
        await next_exit(host)
        kept = kit.container(bad)
        made = json.loads(docker("inspect", kept))[0]["Config"]["Labels"]
    # Goes with the next sweep, and so tells that it took place.
    labels = [f"--label={name}={value}" for name, value in made.items()]
    witness = docker("create", "--name", f"{kit.folder.name}-witness", *labels, kit.image, "true")
    assert set(container_ids(label=kit.label)) == {kept, witness}
    async with kit.host(replace(IMPATIENT, orphan_grace_s=0.0)) as host:
        await host.list()
        await eventually(lambda: container_ids(label=kit.label) == [kept], within=40)
    # Its time has passed while no agent was there: by the engine's word of its end, and not by ours.
    async with kit.host(replace(IMPATIENT, failed_kept_s=0.001)) as host:
        await host.list()
        await eventually(lambda: container_ids(label=kit.label) == [], within=10)


async def test_nothing_secret_is_left_of_a_server_that_ended(kit: DockerKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec())
        assert "secret" in next(kit.data_dir.glob("servers/*/io/config.json")).read_text()
        docker("kill", kit.container(server))
        await next_exit(host)
        assert not list(kit.data_dir.glob("servers/*/io"))
    async with kit.host() as host:
        server = await host.start(kit.spec(STUBBORN="yes"))
    # While no agent is there.
    docker("kill", kit.container(server))
    async with kit.host() as host:
        assert not await host.list()
        assert not list(kit.data_dir.glob("servers/*/io"))


# ------------------------------------------------------------------------------------------------------ how they start


async def test_the_same_start_three_times_at_once_makes_one_container(kit: DockerKit) -> None:
    async with kit.host() as host:
        servers = await asyncio.gather(*(host.start(kit.spec()) for _ in range(3)))
        assert len(set(servers)) == 1
        assert len(container_ids(label=kit.label)) == 1


async def test_a_container_that_was_created_and_never_started_is_in_nobodys_way(kit: DockerKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec())
        made = json.loads(docker("inspect", kit.container(server)))[0]
        await host.stop(server, grace_s=0)
    # As an agent leaves it that dies between the two.
    labels = [f"--label={name}={value}" for name, value in made["Config"]["Labels"].items()]
    docker("create", "--name", made["Name"].removeprefix("/"), *labels, kit.image, "true")
    async with kit.host() as host:
        assert not await host.list()
        again = await host.start(kit.spec())
        assert container_ids(label=kit.label) == [kit.container(again)]


async def test_a_start_that_is_called_off_leaves_nothing_behind(kit: DockerKit) -> None:
    async with kit.host() as host:
        starting = asyncio.ensure_future(host.start(kit.spec()))  # noqa: TID251 (it is cancelled in a moment)
        await eventually(lambda: container_ids(label=kit.label), within=10, every=0.005)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert container_ids(label=kit.label) == []
        server = await host.start(kit.spec())
        assert list(await host.list()) == [server]


async def test_a_strangers_container_is_not_taken_over(kit: DockerKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec())
        name = json.loads(docker("inspect", kit.container(server)))[0]["Name"].removeprefix("/")
        await host.stop(server, grace_s=0)
        stranger = docker("create", "--name", name, kit.image, "true")
        try:
            with pytest.raises(ServerStartError, match="not this agent's"):
                await host.start(kit.spec())
        finally:
            docker("rm", stranger)


async def test_an_image_that_is_not_there_is_told_at_once(kit: DockerKit) -> None:
    spec = kit.spec()
    never = replace(spec.container, image="nowhere/nothing:1", pull_policy=PullPolicy.NEVER)
    refused = replace(spec.container, image="127.0.0.1:1/nothing:1")
    steps: list[StartStep] = []
    async with kit.host() as host:
        with pytest.raises(ImageUnavailableError, match="policy is never"):
            await host.start(replace(spec, container=never))
        with pytest.raises(ImageUnavailableError, match="connection refused"):
            await host.start(replace(spec, container=refused), on_step=lambda step, _: steps.append(step))
        with pytest.raises(ServerStartError, match="names no image"):
            await host.start(replace(spec, container=replace(spec.container, image="")))
    assert steps == [StartStep.PULLING]
    assert container_ids(label=kit.label) == []


async def test_what_the_engine_refuses_leaves_nothing_behind(kit: DockerKit) -> None:
    spec = kit.spec()
    async with kit.host() as host:
        for container, words in (
            (replace(spec.container, networks=("isthmus-nowhere",)), "isthmus-nowhere"),
            (replace(spec.container, networks=("bridge", "isthmus-nowhere")), "isthmus-nowhere"),
            (replace(spec.container, limits=Limits(memory_bytes=1000)), "emory"),
            (replace(spec.container, mounts=(Mount("/nowhere/at/all", "/data"),)), "/nowhere/at/all"),
            (replace(spec.container, mounts=(Mount(str(kit.data_dir), "/data"),)), "no container may mount it"),
        ):
            with pytest.raises(ServerStartError, match=words):
                await host.start(replace(spec, container=container))
        assert container_ids(label=kit.label) == []


async def test_an_engine_that_is_not_there_is_named(kit: DockerKit) -> None:
    with pytest.raises(EngineUnavailableError, match=r"nowhere\.sock"):
        async with kit.host(replace(IMPATIENT, url=f"unix://{kit.folder}/nowhere.sock")):
            pytest.fail("it opened")


# ------------------------------------------------------------------------------------------------------ what they may


async def test_containers_have_no_more_rights_than_they_need(kit: DockerKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec())
        facts = json.loads(docker("inspect", kit.container(server)))[0]
        settings = facts["HostConfig"]
        assert settings["CapDrop"] == ["ALL"]
        assert settings["SecurityOpt"] == ["no-new-privileges"]
        assert settings["ReadonlyRootfs"]
        assert settings["Init"]
        assert settings["Memory"] == settings["MemorySwap"] == 256_000_000
        assert settings["PidsLimit"] == 4096
        assert settings["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
        assert not settings["Privileged"]
        assert {mount["Destination"] for mount in facts["Mounts"]} == {
            "/isthmus",
            "/isthmus/server",
            "/isthmus/runs",
            "/small",
            "/notes",
        }
        status = docker("exec", kit.container(server), "cat", "/proc/self/status")
        rights = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert int(rights["CapEff"], 16) == 0
        assert rights["NoNewPrivs"] == "1"
        assert rights["Uid"].split()[0] != "0"
        docker("exec", kit.container(server), "sh", "-c", "touch $HOME/a /tmp/b /isthmus/runs/c /isthmus/d")
        with pytest.raises(AssertionError, match="Read-only"):
            docker("exec", kit.container(server), "touch", "/project/x")


async def test_limits_change_while_it_runs(kit: DockerKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec())
        await kit.note(server)
        assert await host.set_limits(server, Limits(memory_bytes=512_000_000, cpus=0.5, pids=99))
        settings = json.loads(docker("inspect", kit.container(server)))[0]["HostConfig"]
        assert (settings["Memory"], settings["MemorySwap"]) == (512_000_000, 512_000_000)
        assert (settings["NanoCpus"], settings["PidsLimit"]) == (500_000_000, 99)
        assert await host.set_limits(server, Limits(memory_bytes=512_000_000, cpus=0.5, pids=99))
        # No limit at all is nothing that a running container can be given.
        assert not await host.set_limits(server, Limits())
        assert not await host.set_limits(server, Limits(memory_bytes=1000, cpus=0.5, pids=99))
        await host.stop(server, grace_s=0)
        assert not await host.set_limits(server, Limits(memory_bytes=512_000_000))


async def test_memory_and_output_of_a_living_server_are_told(kit: DockerKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec(SAY="hello there\n"))
        await kit.note(server)
        assert 1_000_000 < await host.memory_bytes(server) < 256_000_000
        assert await host.tail(server, max_bytes=6) == "there\n"
        await host.stop(server, grace_s=0)
        assert await host.memory_bytes(server) == 0


# ------------------------------------------------------------------------------------------------- when the engine is away


async def test_a_death_during_a_cut_of_the_event_stream_is_told_once(kit: DockerKit) -> None:
    at = kit.folder / "engine.sock"
    async with TcpProxy.to_socket(_ENGINE, at=at) as proxy, kit.host(replace(IMPATIENT, url=f"unix://{at}")) as host:
        server, other = await host.start(kit.spec(generation=1)), await host.start(kit.spec(generation=2))
        proxy.refuse()
        docker("kill", kit.container(server))
        proxy.resume()
        assert await next_exit(host) == ServerExit(server, signal=signal.SIGKILL)
        proxy.cut()
        docker("kill", "--signal", "KILL", kit.container(other))
        assert await next_exit(host) == ServerExit(other, signal=signal.SIGKILL)
        assert not await host.list()


async def test_a_stop_while_the_engine_is_away_waits_until_it_is_back(kit: DockerKit) -> None:
    at = kit.folder / "engine.sock"
    async with TcpProxy.to_socket(_ENGINE, at=at) as proxy, kit.host(replace(IMPATIENT, url=f"unix://{at}")) as host:
        server = await host.start(kit.spec())
        pid = (await kit.note(server))["pid"]
        assert isinstance(pid, int)
        proxy.refuse()
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(host.stop(server, grace_s=0.1))
            os.kill(pid, 0)
            assert not stopping.done()
            proxy.resume()
        assert (await next_exit(host)).server == server
        assert container_ids(label=kit.label) == []


# -------------------------------------------------------------------------------------------------------- what is left


async def test_orphans_are_swept_up_and_other_agents_containers_are_not(kit: DockerKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec())
        made = json.loads(docker("inspect", kit.container(server)))[0]["Config"]["Labels"]
        labels = [f"--label={name}={value}" for name, value in made.items() if name != "isthmus.incarnation"]
        # Of a creation whose answer never came.
        docker("create", "--name", f"{kit.folder.name}-orphan", *labels, kit.image, "true")
        others = [label.replace("isthmus.agent=edge", "isthmus.agent=other") for label in labels]
        other = docker("create", "--name", f"{kit.folder.name}-other", *others, kit.image, "true")
    async with kit.host(replace(IMPATIENT, orphan_grace_s=0.0, failed_kept_s=1.0)) as host:
        assert list(await host.list()) == [server]
        await eventually(lambda: set(container_ids(label=kit.label)) == {other, kit.container(server)}, within=10)


# --------------------------------------------------------------------------------------------- an agent in a container


async def test_an_agent_in_a_container_finds_its_data_folder_on_the_engines_machine(kit: DockerKit) -> None:
    volume, folder = f"isthmus-test-{kit.folder.name[-20:]}".replace("_", "-"), "/var/lib/isthmus"
    run = ("run", "--detach", "--label", kit.label, "--volume", f"{volume}:{folder}", kit.image)
    container = docker(*run, "sleep", "60")
    try:
        inside = docker("exec", container, "cat", "/proc/self/mountinfo")
        assert container_in(f"{inside}\n") == container
        async with Engine.open(DEFAULT_URL) as engine:
            places = await find_places(engine, data_dir=Path(folder, "edge"), container=container)
            assert str(places.engine_data_dir) == docker("volume", "inspect", "-f", "{{.Mountpoint}}", volume) + "/edge"
            assert places.volume == volume
            with pytest.raises(DataFolderUnfitError, match="named volume"):
                await find_places(engine, data_dir=Path("/srv"), container=container)
            with pytest.raises(DataFolderUnfitError, match="ISTHMUS_AGENT_CONTAINER"):
                await find_places(engine, data_dir=Path(folder), container="nobody")
    finally:
        docker("rm", "--force", container)
        docker("volume", "rm", volume)


# ----------------------------------------------------------------------------------- what belongs to other services


async def test_volumes_of_others_are_used_only_where_the_owner_lists_them(kit: DockerKit) -> None:
    theirs, ours = f"theirs-{uuid.uuid4().hex[:8]}", f"ours-{uuid.uuid4().hex[:8]}"
    docker("volume", "create", theirs)
    try:
        async with kit.host() as host:
            with pytest.raises(ServerStartError, match=f"volume {theirs} is not meant for locations"):
                await host.start(kit.with_mount(Mount(theirs, "/data")))
            # One that is not there yet is made, and stays usable.
            for _ in range(2):
                await host.stop(await host.start(kit.with_mount(Mount(ours, "/data"))), grace_s=1)
        async with kit.host(replace(IMPATIENT, are_volumes_listed=True)) as host:
            await host.stop(await host.start(kit.with_mount(Mount(theirs, "/data"))), grace_s=1)
    finally:
        docker("volume", "rm", "--force", theirs, ours)


async def test_networks_of_others_are_joined_only_where_the_owner_lists_them(kit: DockerKit) -> None:
    name = f"theirs-{uuid.uuid4().hex[:8]}"
    docker("network", "create", name)
    spec = kit.spec()
    spec = replace(spec, container=replace(spec.container, networks=(name,)))
    try:
        async with kit.host() as host:
            with pytest.raises(ServerStartError, match=f"network {name} is not meant for locations"):
                await host.start(spec)
        async with kit.host(replace(IMPATIENT, network=name)) as host:
            await host.stop(await host.start(spec), grace_s=1)
    finally:
        docker("network", "rm", name)
