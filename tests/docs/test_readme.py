"""The README's commands do what it says."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.docker import built_image, docker
from support.rabbitmq import Rabbit
from support.walkthrough import ROOT, StackNames, environment, free_port, steps_in, walk

STEPS = steps_in("README.md")
PROJECT = """
import dagster as dg

DAILY = dg.DailyPartitionsDefinition("2026-01-01")


@dg.asset(partitions_def=DAILY)
def orders() -> None: ...


@dg.asset(partitions_def=DAILY)
def customers() -> None: ...


@dg.op
def greet() -> None:
    print("hello")


@dg.job
def my_job() -> None:
    greet()


defs = dg.Definitions(assets=[orders, customers], jobs=[my_job])
"""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's home, with the project that the README takes for granted."""
    for package in ("my-dagster-project/my_project", "sales"):
        folder = tmp_path / "home" / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "definitions.py").write_text(PROJECT)
    return tmp_path / "home"


def test_every_block_belongs_to_a_section_that_is_executed_here() -> None:
    assert {step.section for step in STEPS} == {
        "Two commands",
        "A first real use",
        "As containers",
        "On several machines",
    }


def test_two_commands(home: Path) -> None:
    steps = [step for step in STEPS if step.section == "Two commands"]
    walk(steps, home=home, replacing={"make demo": f"make -C {ROOT} demo"}, env=environment())


def test_a_first_real_use(home: Path) -> None:
    steps = [step for step in STEPS if step.section == "A first real use"]
    replacing = {". .venv": f". {ROOT}/.venv", "isthmus dev": "isthmus dev --port 0"}
    walk(steps, home=home, replacing=replacing, env=environment())


def test_on_several_machines(home: Path, rabbitmq: Rabbit) -> None:
    steps = [step for step in STEPS if step.section == "On several machines"]
    address = f"127.0.0.1:{free_port()}"
    variables = {
        "PATH": f"{ROOT}/.venv/bin:/usr/bin:/bin",
        "ISTHMUS_BROKER_URL": rabbitmq.take_url(),
        "ISTHMUS_DATABASE_URL": f"sqlite:///{home}/isthmus.db",
        "ISTHMUS_CONTROL_PLANE_LISTEN": address,
        "ISTHMUS_SERVER": address,
        "ISTHMUS_API_TOKEN": secrets.token_urlsafe(24),
        "ISTHMUS_AGENT_NAME": "warehouse",
        "ISTHMUS_AGENT_DATA_DIR": f"{home}/agent",
        # It would go on after the agent, to be adopted by the next.
        "ISTHMUS_AGENT_STOPS_SERVERS_ON_EXIT": "true",
    }
    walk(steps, home=home, replacing={"/srv/sales": str(home)}, env=environment(**variables))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StackNames]:
    stack = StackNames.fresh(tmp_path)
    yield stack
    walk_down = [step for step in steps_in("docs/tutorial.md") if step.section == "9. In containers"][-1:]
    replacing = {**stack.replacing, "~/isthmus": str(ROOT)}
    home = tmp_path / "down"
    home.mkdir()
    walk(walk_down, home=home, replacing=replacing, env=environment(**stack.variables))
    docker("volume", "rm", "--force", f"{stack.name}-data")


def test_as_containers(home: Path, stack: StackNames) -> None:
    steps = [step for step in STEPS if step.section == "As containers"]
    locations = home / "locations.yaml"
    text = (ROOT / "examples/bike_share/locations.yaml").read_text()
    image = built_image("bike-share")
    locations.write_text(text.replace("isthmus/bike-share", image).replace("bike-share-data", f"{stack.name}-data"))
    replacing = {
        **stack.replacing,
        ". .venv": f". {ROOT}/.venv",
        "examples/bike_share/locations.yaml": str(locations),
    }
    walk(steps, home=home, replacing=replacing, env=environment(**stack.variables))
