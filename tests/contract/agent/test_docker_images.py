"""How the docker host comes by images: a real engine, and a registry of the test's own."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from contract.agent.docker_kit import IMPATIENT, DockerKit, docker_kit
from isthmus_agent.desired.container import PullPolicy
from isthmus_agent.hosts.docker.engine import Engine
from isthmus_agent.hosts.docker.images import Images
from isthmus_agent.hosts.docker.options import DEFAULT_URL, DockerOptions
from isthmus_agent.hosts.docker.pulled import PulledImages
from isthmus_agent.hosts.errors import ImageUnavailableError
from isthmus_agent.hosts.host import StartStep
from isthmus_agent.hosts.tasks import OwnTasks
from support.docker import docker, remove_image
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


#: How long superseded images are kept here, seconds by a clock of the test's.
KEPT_S = 1000.0


async def ensure(
    registry: Registry,
    *,
    options: DockerOptions = IMPATIENT,
    policy: PullPolicy = PullPolicy.IF_MISSING,
    times: int = 1,
    image: str = "",
    file: Path | None = None,
) -> list[str]:
    """Ask for the image so often at once; return what was told of the progress."""
    told: list[str] = []
    with TemporaryDirectory() as folder:
        async with Engine.open(DEFAULT_URL) as engine, OwnTasks() as tasks:
            pulled = PulledImages(engine, file=file or Path(folder) / "images.json", kept_s=KEPT_S)
            images = Images(engine, options=options, tasks=tasks.group, pulled=pulled)
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


async def tidied(file: Path, *wanted: str, at: float) -> None:
    """Another life of an agent tidies up, to which these names are wanted."""
    async with Engine.open(DEFAULT_URL) as engine:
        pulled = PulledImages(engine, file=file, kept_s=KEPT_S, clock=lambda: at)
        pulled.want(wanted)
        await pulled.tidy()


def is_there(image: str) -> bool:
    return bool(docker("images", "--quiet", image))


async def test_an_image_that_was_pulled_goes_some_time_after_it_was_superseded(
    registry: Registry, tmp_path: Path
) -> None:
    file = tmp_path / "images.json"
    await ensure(registry, file=file)
    await tidied(file, registry.image, at=0)
    await tidied(file, registry.image, at=5000)
    await tidied(file, at=6000)
    # Wanted again meanwhile: its time begins anew.
    await tidied(file, registry.image, at=6900)
    await tidied(file, at=7500)
    await tidied(file, at=8400)
    assert is_there(registry.image)
    await tidied(file, at=8501)
    assert not is_there(registry.image)
    assert json.loads(file.read_text()) == []


async def test_nothing_goes_before_it_is_known_what_is_wanted(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "images.json"
    await ensure(registry, file=file)
    moments = iter((0.0, 5_000.0, 10_000.0))
    async with Engine.open(DEFAULT_URL) as engine:
        pulled = PulledImages(engine, file=file, kept_s=KEPT_S, clock=lambda: next(moments))
        for _ in range(3):
            await pulled.tidy()
    assert is_there(registry.image)


async def test_an_image_that_was_there_before_is_not_removed(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "images.json"
    # The registry answers meanwhile, in this very loop.
    await asyncio.to_thread(docker, "pull", registry.image)
    await ensure(registry, file=file)
    await ensure(registry, file=file, policy=PullPolicy.ALWAYS)
    for at in (0, 5000, 10_000):
        await tidied(file, at=at)
    assert is_there(registry.image)


async def test_an_image_that_a_container_was_made_from_is_kept_as_long_as_that_is(
    registry: Registry, tmp_path: Path
) -> None:
    file = tmp_path / "images.json"
    await ensure(registry, file=file)
    container = docker("create", registry.image, "nothing")
    try:
        for at in (0, 5000):
            await tidied(file, at=at)
        assert is_there(registry.image)
    finally:
        docker("rm", container)
    await tidied(file, at=6000)
    assert not is_there(registry.image)


async def test_an_image_that_somebody_gave_another_name_is_kept(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "images.json"
    await ensure(registry, file=file)
    mine = f"{registry.image}-mine"
    docker("tag", registry.image, mine)
    try:
        for at in (0, 5000):
            await tidied(file, at=at)
        assert is_there(registry.image)
        assert is_there(mine)
    finally:
        remove_image(mine)


async def test_a_damaged_note_of_what_was_pulled_removes_nothing(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "images.json"
    await ensure(registry, file=file)
    file.write_text("[{")
    for at in (0, 5000):
        await tidied(file, at=at)
    assert is_there(registry.image)
