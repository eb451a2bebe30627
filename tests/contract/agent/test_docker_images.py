"""How the docker host comes by images: a real engine, and a registry of the test's own."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from contract.agent.docker_kit import IMPATIENT, DockerKit, docker_kit
from isthmus_agent.desired.container import PullPolicy
from isthmus_agent.errors import ImageUnavailableError
from isthmus_agent.hosts.docker.engine import Engine
from isthmus_agent.hosts.docker.images import Images
from isthmus_agent.hosts.docker.options import DEFAULT_URL, DockerOptions
from isthmus_agent.hosts.host import StartStep
from isthmus_agent.hosts.tasks import OwnTasks
from support.docker import remove_image
from support.eventually import eventually
from support.registry import Registry


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with Registry.serving() as registry:
        yield registry
        remove_image(registry.image)


@pytest.fixture
def kit(short_path: Path, code_server_image: str) -> Iterator[DockerKit]:
    with docker_kit(short_path, image=code_server_image) as kit:
        yield kit


async def ensure(
    registry: Registry,
    *,
    options: DockerOptions = IMPATIENT,
    policy: PullPolicy = PullPolicy.IF_MISSING,
    times: int = 1,
    image: str = "",
) -> list[str]:
    """Ask for the image so often at once; return what was told of the progress."""
    told: list[str] = []
    async with Engine.open(DEFAULT_URL) as engine, OwnTasks() as tasks:
        images = Images(engine, options=options, tasks=tasks.group)
        async with asyncio.TaskGroup() as asking:
            for _ in range(times):
                asking.create_task(images.ensure(image or registry.image, policy=policy, on_progress=told.append))
    return told


def credentials(folder: Path, *, registry: Registry, account: str) -> DockerOptions:
    path = folder / "config.json"
    path.write_text(json.dumps({"auths": {registry.address: {"auth": base64.b64encode(account.encode()).decode()}}}))
    return replace(IMPATIENT, registry_config=path, pull_tries=2)


def only(error: BaseExceptionGroup[ImageUnavailableError]) -> ImageUnavailableError:
    (cause,) = error.exceptions
    assert isinstance(cause, ImageUnavailableError)
    return cause


async def test_many_who_want_an_image_share_one_pull(registry: Registry) -> None:
    told = await ensure(registry, times=3)
    assert registry.pulls == 1
    assert told.count("") == 3
    assert any(progress.startswith("layers ") for progress in told)


async def test_an_image_that_is_there_is_pulled_only_if_that_is_wanted(registry: Registry) -> None:
    await ensure(registry)
    assert await ensure(registry) == []
    looks = registry.looks
    await ensure(registry, policy=PullPolicy.ALWAYS)
    assert registry.looks > looks


async def test_credentials_are_shown_to_the_registry(registry: Registry, tmp_path: Path) -> None:
    registry.account = "sales:s3cret"
    wrong = credentials(tmp_path, registry=registry, account="sales:wrong")
    with pytest.raises(ExceptionGroup) as caught:
        await ensure(registry, options=wrong)
    assert "s3cret" not in str(only(caught.value))
    assert registry.pulls == 0
    await ensure(registry, options=credentials(tmp_path, registry=registry, account="sales:s3cret"))
    assert registry.pulls == 1


async def test_a_registry_that_turns_the_welcome_away_is_asked_again(registry: Registry, tmp_path: Path) -> None:
    registry.account = "sales:s3cret"
    registry.unauthorized = 1
    options = credentials(tmp_path, registry=registry, account=registry.account)
    told = await ensure(registry, options=options)
    assert registry.pulls == 1
    assert [progress for progress in told if "next try" in progress]


async def test_an_image_that_does_not_exist_is_not_asked_for_again(registry: Registry) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await ensure(registry, image=f"{registry.address}/other:1", options=replace(IMPATIENT, pull_tries=3))
    assert "manifest unknown" in str(only(caught.value))
    assert registry.turned_away == 1


async def test_an_unreadable_credentials_file_is_named(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{")
    with pytest.raises(ExceptionGroup) as caught:
        await ensure(registry, options=replace(IMPATIENT, registry_config=path))
    assert str(path) in str(only(caught.value))


async def test_a_slow_pull_delays_no_other_server(kit: DockerKit, registry: Registry) -> None:
    registry.flowing.clear()
    spec = kit.spec(generation=2)
    slow = replace(spec, container=replace(spec.container, image=registry.image))
    steps: list[StartStep] = []
    async with kit.host() as host:
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(host.start(slow, on_step=lambda step, _: steps.append(step)))
            await eventually(lambda: steps, within=5)
            quick = await host.start(kit.spec(generation=1))
            await kit.note(quick)
            assert not waiting.done()
            waiting.cancel()
        assert list(await host.list()) == [quick]
    assert set(steps) == {StartStep.PULLING}
