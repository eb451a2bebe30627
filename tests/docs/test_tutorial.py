"""The tutorial's commands do what the tutorial says, from an empty folder to a project in containers."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs_pages.walkthrough import Write
from support.docker import built_image, remove_image
from support.walkthrough import ROOT, StackNames, environment, free_port, steps_in, walk

STEPS = steps_in("docs/tutorial.md")
IN_CONTAINERS = "9. In containers"

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


def test_commands_on_one_machine(home: Path) -> None:
    steps = [step for step in STEPS if step.section != IN_CONTAINERS]
    # Ports that nothing else on this machine has.
    replacing = {"~/isthmus": str(ROOT), "isthmus dev": "isthmus dev --port 0", "8765": str(free_port())}
    walk(steps, home=home, replacing=replacing, env=environment())


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StackNames]:
    stack = StackNames.fresh(tmp_path)
    yield stack
    remove_image(f"{stack.name}:1")


def test_commands_in_containers(home: Path, stack: StackNames) -> None:
    built_image("code-server")
    tag = os.environ.get("ISTHMUS_IMAGE_TAG") or "latest"
    begun = ("1. Install Isthmus", "2. Write a project")
    steps = [step for step in STEPS if step.section in (*begun, IN_CONTAINERS) or isinstance(step, Write)]
    # What the earlier sections leave behind, and this one needs.
    (home / "shop" / "data").mkdir(parents=True)
    replacing = {
        **stack.replacing,
        "~/isthmus": str(ROOT),
        "mkdir ~/shop": "true",
        "FROM isthmus/code-server": f"FROM isthmus/code-server:{tag}",
        "shop:1": f"{stack.name}:1",
    }
    walk(steps, home=home, replacing=replacing, env=environment(**stack.variables))
