"""The command `isthmus doctor`: every check that concerns this machine, a line each, and exit code 1 when one failed."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from isthmus_cli.view.output import print_json, print_lines
from isthmus_cli.view.paint import Paint
from isthmus_client.discovery import STATE_FOLDER

from isthmus_doctor import api, machine
from isthmus_doctor.finding import Finding, Level

_ENGINE = "unix:///var/run/docker.sock"
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Question:
    """What is to be examined."""

    environ: Mapping[str, str]
    folder: Path
    #: The project's Python; empty to find it.
    python: str = ""
    #: Where data is kept; empty for where the environment says, or the folder's own.
    data_dir: str = ""

    def said(self, name: str) -> str:
        """Return what the environment says; nothing where it says nothing."""
        return self.environ.get(name, "")

    @property
    def is_of_agent(self) -> bool:
        """Whether the environment is an agent's."""
        return bool(self.said("ISTHMUS_AGENT_NAME"))

    @property
    def is_of_service(self) -> bool:
        """Whether the environment is a control plane's or a monitor's, and no agent's."""
        return bool(self.said("ISTHMUS_DATABASE_URL")) and not self.is_of_agent


async def examine(question: Question) -> AsyncIterator[Finding]:
    """Yield what is found: of the machine always, of services and an agent where the environment names what they need."""
    for finding in (*machine.versions(), *machine.clock()):
        yield finding
    async for finding in _broker(question):
        yield finding
    async for finding in _database(question.said("ISTHMUS_DATABASE_URL")):
        yield finding
    async for finding in api.control_plane(is_needed=bool(question.said("ISTHMUS_SERVER"))):
        yield finding
    for finding in (*_places(question), *_project(question)):
        yield finding


async def _broker(question: Question) -> AsyncIterator[Finding]:
    url = question.said("ISTHMUS_BROKER_URL")
    if not url:
        if find_spec("isthmus_dev"):
            from isthmus_doctor import node

            for finding in node.installed():
                yield finding
        else:
            yield Finding.skipped(
                "broker", "ISTHMUS_BROKER_URL names none, and there is no isthmus-dev for a private one"
            )
    elif find_spec("isthmus_broker"):
        from isthmus_doctor import broker

        deployment = question.said("ISTHMUS_AGENT_DEPLOYMENT") or "default"
        queue = broker.agent_queue(deployment, question.said("ISTHMUS_AGENT_NAME"))
        async for finding in broker.reached(url, queue=queue):
            yield finding
    else:
        yield Finding.skipped("broker", "isthmus-broker is not installed here")


async def _database(url: str) -> AsyncIterator[Finding]:
    if not url:
        return
    if not find_spec("isthmus_store"):
        yield Finding.skipped("database", "isthmus-store is not installed here")
        return
    from isthmus_doctor import database

    async for finding in database.database(url):
        yield finding
    for finding in _disk_of(url):
        yield finding


def _disk_of(url: str) -> Iterator[Finding]:
    if url.startswith(_SQLITE):
        yield from machine.disk(Path(url.removeprefix(_SQLITE)).absolute().parent)


def _places(question: Question) -> Iterator[Finding]:
    if question.is_of_service and not question.data_dir:
        return
    is_docker = question.said("ISTHMUS_AGENT_HOST") == "docker"
    yield from machine.engine(question.said("ISTHMUS_AGENT_DOCKER_URL") or _ENGINE, is_needed=is_docker)
    named = question.data_dir or question.said("ISTHMUS_AGENT_DATA_DIR") or STATE_FOLDER
    data = (question.folder / named).absolute()
    yield from machine.folder(data, name="data folder")
    yield from machine.disk(data)


def _project(question: Question) -> Iterator[Finding]:
    if question.is_of_service or question.is_of_agent:
        return
    if not find_spec("isthmus_dev"):
        yield Finding.skipped("project", "isthmus-dev is not installed here")
        return
    from isthmus_doctor import project

    with TemporaryDirectory(prefix="isthmus-doctor-") as lent:
        yield from project.project(question.folder, python=question.python, lent_dir=Path(lent))


def run(question: Question, *, is_json: bool) -> int:
    """Examine, print, and return the exit code."""
    # What libraries have to say of a fault is among what is found.
    logging.disable()
    return asyncio.run(_run(question, is_json=is_json))


async def _run(question: Question, *, is_json: bool) -> int:
    found = []
    paint = Paint.of()
    async for finding in examine(question):
        found.append(finding)
        if not is_json:
            print_lines(lines(finding, paint=paint))
    if is_json:
        print_json(json.dumps([asdict(one) | {"level": one.level.value} for one in found], indent=2))
    return exit_code(found)


def exit_code(found: Iterable[Finding]) -> int:
    """Return 1 when something does not work."""
    return int(any(one.level is Level.FAIL for one in found))


def lines(finding: Finding, *, paint: Paint) -> list[str]:
    """Tell a finding, and on a line of its own what mends it."""
    marks = {
        Level.OK: paint.green("✓"),
        Level.WARN: paint.yellow("!"),
        Level.FAIL: paint.red("✗"),
        Level.SKIPPED: paint.dim("-"),
    }
    first = f"{marks[finding.level]} {finding.name:14}{finding.text}"
    return [first, *(f"  {'':14}→ {line}" for line in finding.remedy.splitlines())]


def main() -> None:
    """Run as `python -m isthmus_doctor json|table PYTHON DATA_DIR`, by the command line only."""
    form, python, data_dir = sys.argv[1:]
    question = Question(os.environ, folder=Path.cwd(), python=python, data_dir=data_dir)
    sys.exit(run(question, is_json=form == "json"))


if __name__ == "__main__":
    main()
