"""Executes the commands of the documentation's pages as their readers would, beside whatever else runs on this machine."""

import os
import secrets
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from docs_pages.shell import Shell
from docs_pages.walkthrough import Step, steps_of

ROOT = Path(__file__).parents[2]


def steps_in(page: str) -> list[Step]:
    """Return what a reader of a page does."""
    return list(steps_of((ROOT / page).read_text(encoding="utf-8")))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """What a user's terminal has: nothing of Isthmus, and nothing of the environment that the tests run in."""
    ours = ("ISTHMUS_", "VIRTUAL_ENV", "PYTEST", "PYTHON", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"TERM": "xterm-256color", **more}


def walk(steps: Iterable[Step], *, home: Path, replacing: Mapping[str, str], env: Mapping[str, str]) -> None:
    """Do the steps in a home of their own."""
    with Shell(home=home, state=home.parent, replacing=replacing, env=env) as shell:
        for step in steps:
            shell.do(step)


@dataclass(frozen=True)
class StackNames:
    """A stack of containers under a name of its own, where pages speak of the only one."""

    name: str
    address: str
    env_file: Path

    @classmethod
    def fresh(cls, folder: Path) -> "StackNames":
        return cls(f"isthmus-walk-{secrets.token_hex(4)}", f"127.0.0.1:{free_port()}", folder / "stack-env")

    @property
    def variables(self) -> Mapping[str, str]:
        images = ("ISTHMUS_IMAGE_TAG", "ISTHMUS_IMAGE_PREFIX")
        return {
            "COMPOSE_PROJECT_NAME": self.name,
            "ISTHMUS_NETWORK": f"{self.name}-agents",
            "ISTHMUS_AGENT_NAME": f"agent-{self.name}",
            "ISTHMUS_API_ADDRESS": self.address,
            "ISTHMUS_SERVER": self.address,
        } | {variable: os.environ[variable] for variable in images if variable in os.environ}

    @property
    def replacing(self) -> Mapping[str, str]:
        script = ROOT / "scripts/stack"
        return {
            "make up": f"python3 {script} up --env-file {self.env_file}",
            "make down VOLUMES=1": f"python3 {script} down --volumes --env-file {self.env_file}",
        }
