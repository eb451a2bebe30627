"""Whatever an engine answers to whichever call, it ends one server at the most: a real engine behind a proxy with faults."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from contract.agent.docker_kit import IMPATIENT, DockerKit, docker_kit
from contract.agent.host_contract import next_exit
from isthmus_agent.errors import AgentError
from isthmus_agent.hosts.docker.engine import Engine
from isthmus_agent.hosts.docker.host import DockerHost
from isthmus_agent.hosts.docker.pulled import PulledImages
from isthmus_agent.hosts.errors import EngineRefusedError
from isthmus_agent.hosts.host import Server, ServerSpec
from support.docker import docker, remove_image
from support.faulty_engine import FaultyEngine
from support.registry import Registry

pytestmark = pytest.mark.timeout(300)

#: What an ill engine says: that it failed, that something else goes on, nothing at all, nonsense.
FAULTS = (500, 409, "hang", "garbage")
#: Without them there is no host.
NEEDED = frozenset({"GET info", "GET version"})
#: What the life of one server comes to ask for.
CALLS = frozenset(
    {
        "GET containers/json",
        "GET containers/*/json",
        "GET containers/*/logs",
        "GET events",
        "GET images/*/json",
        "POST containers/*/kill",
        "POST containers/*/start",
        "POST containers/create",
    }
)
#: More than a healthy engine needs on a busy machine, and no more than a test can wait for, seconds.
CALL_TIMEOUT_S = 8.0


@pytest.fixture
def kit(short_path: Path, code_server_image: str) -> Iterator[DockerKit]:
    with docker_kit(short_path, image=code_server_image) as kit:
        yield kit


@pytest.fixture
async def engine(kit: DockerKit) -> AsyncIterator[FaultyEngine]:
    async with FaultyEngine.at(kit.folder / "engine.sock") as engine:
        yield engine


def host_behind(kit: DockerKit) -> DockerHost:
    url = f"unix://{kit.folder / 'engine.sock'}"
    return kit.host(replace(IMPATIENT, url=url, call_timeout_s=CALL_TIMEOUT_S))


async def started(host: DockerHost, spec: ServerSpec) -> Server:
    """Start a server as its keeper does: again, after an error of the agent's own."""
    for _ in range(2 * len(CALLS)):
        try:
            return await host.start(spec)
        except AgentError:
            continue
    return await host.start(spec)


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_first_call_of_each_kind_may_go_wrong(kit: DockerKit, engine: FaultyEngine, fault: int | str) -> None:
    seen = set(NEEDED)

    def at_first(kind: str, _path: str) -> int | str | None:
        is_first = kind not in seen
        seen.add(kind)
        return fault if is_first else None

    engine.fault = at_first
    async with host_behind(kit) as host:
        assert list(await host.list()) == []
        server = await started(host, kit.spec(generation=1))
        neighbour = await started(host, kit.spec(generation=2))
        await host.stop(server, grace_s=1)
        assert (await next_exit(host)).server == server
        assert set(engine.faults) >= CALLS
        assert list(await host.list()) == [neighbour]
        docker("kill", kit.container(neighbour))
        assert (await next_exit(host)).server == neighbour


async def test_a_container_that_cannot_be_killed_holds_up_no_other(kit: DockerKit, engine: FaultyEngine) -> None:
    async with host_behind(kit) as host, asyncio.TaskGroup() as tasks:
        stubborn = await host.start(kit.spec(generation=1))
        other = await host.start(kit.spec(generation=2))
        container = kit.container(stubborn)
        engine.fault = lambda kind, path: 500 if kind.endswith("/kill") and container in path else None
        stopping = tasks.create_task(host.stop(stubborn, grace_s=0.1))
        await host.stop(other, grace_s=1)
        assert (await next_exit(host)).server == other
        assert not stopping.done()
        engine.fault = lambda _kind, _path: None
        assert (await next_exit(host)).server == stubborn


async def test_an_engine_that_tells_nothing_of_a_dead_container_hides_no_death(
    kit: DockerKit, engine: FaultyEngine
) -> None:
    url = f"unix://{kit.folder / 'engine.sock'}"
    async with kit.host(replace(IMPATIENT, url=url, look_back_s=1.0)) as host:
        server = await host.start(kit.spec())
        container = kit.container(server)
        engine.fault = lambda _kind, path: "garbage" if container in path else None
        docker("kill", container)
        assert (await next_exit(host)).server == server


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_image_that_the_engine_does_not_remove_keeps_no_other_and_goes_later(
    tmp_path: Path, short_path: Path, fault: int | str
) -> None:
    now = [0.0]
    async with (
        Registry.serving() as first,
        Registry.serving() as second,
        FaultyEngine.at(short_path / "engine.sock") as engine,
        Engine.open(f"unix://{short_path}/engine.sock", call_timeout_s=CALL_TIMEOUT_S) as seen,
    ):
        pulled = PulledImages(seen, file=tmp_path / "images.json", kept_s=5.0, clock=lambda: now[0])
        pulled.want(())
        try:
            ids = [await _pulled(registry, seen=seen, by=pulled) for registry in (first, second)]
            await pulled.tidy()
            engine.fault = lambda kind, path: fault if kind == "DELETE images/*" and ids[0] in path else None
            for now[0] in (10.0, 20.0):
                await pulled.tidy()
                assert [await seen.image(image) is not None for image in ids] == [True, False]
            assert engine.faults == ["DELETE images/*"] * 2
            engine.fault = lambda _kind, _path: None
            await pulled.tidy()
            assert await seen.image(ids[0]) is None
        finally:
            for registry in (first, second):
                remove_image(registry.image)


async def test_an_engine_that_does_not_tell_what_is_wanted_removes_nothing(tmp_path: Path, short_path: Path) -> None:
    now = [0.0]
    async with (
        Registry.serving() as registry,
        FaultyEngine.at(short_path / "engine.sock") as engine,
        Engine.open(f"unix://{short_path}/engine.sock", call_timeout_s=CALL_TIMEOUT_S) as seen,
    ):
        pulled = PulledImages(seen, file=tmp_path / "images.json", kept_s=5.0, clock=lambda: now[0])
        pulled.want([registry.image])
        try:
            image = await _pulled(registry, seen=seen, by=pulled)
            engine.fault = lambda kind, _path: 500 if kind == "GET images/*/json" else None
            for now[0] in (10.0, 20.0):
                with pytest.raises(EngineRefusedError):
                    await pulled.tidy()
            engine.fault = lambda _kind, _path: None
            await pulled.tidy()
            assert await seen.image(image) is not None
        finally:
            remove_image(registry.image)


async def _pulled(registry: Registry, *, seen: Engine, by: PulledImages) -> str:
    """Pull an image, and note it as the agent's own; returns its id."""
    # The registry answers meanwhile, in this very loop.
    await asyncio.to_thread(docker, "pull", registry.image)
    image = await seen.image(registry.image)
    assert image is not None
    by.note_pulled(image.id, reference=registry.image)
    return image.id
