"""The command `isthmus doctor`: every check that concerns this machine, a line each, and exit code 1 when one failed."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from isthmus_cli.view.output import print_json, print_lines
from isthmus_cli.view.paint import Paint
from isthmus_client.discovery import STATE_FOLDER

from isthmus_dev.doctor import broker, machine, project, state
from isthmus_dev.doctor.finding import Finding, Level

_ENGINE = "unix:///var/run/docker.sock"


async def examine(environ: Mapping[str, str], *, folder: Path, python: str) -> AsyncIterator[Finding]:
    """Yield what is found: of the machine always, of services and an agent where the environment names what they need."""
    for finding in (*machine.versions(), *machine.clock()):
        yield finding
    async for finding in _services(environ):
        yield finding
    for finding in _places(environ, folder=folder):
        yield finding
    if not (environ.get("ISTHMUS_AGENT_NAME") or environ.get("ISTHMUS_DATABASE_URL")):
        with TemporaryDirectory(prefix="isthmus-doctor-") as lent:
            for finding in project.project(folder, python=python, lent_dir=Path(lent)):
                yield finding


async def _services(environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    if url := environ.get("ISTHMUS_BROKER_URL", ""):
        deployment = environ.get("ISTHMUS_AGENT_DEPLOYMENT", "default")
        queue = broker.agent_queue(deployment, environ.get("ISTHMUS_AGENT_NAME", ""))
        async for finding in broker.reached(url, queue=queue):
            yield finding
    else:
        for finding in broker.installed():
            yield finding
    if database := environ.get("ISTHMUS_DATABASE_URL"):
        async for finding in state.database(database):
            yield finding
    async for finding in state.control_plane(is_needed=bool(environ.get("ISTHMUS_SERVER"))):
        yield finding


def _places(environ: Mapping[str, str], *, folder: Path) -> Iterator[Finding]:
    is_docker = environ.get("ISTHMUS_AGENT_HOST") == "docker"
    yield from machine.engine(environ.get("ISTHMUS_AGENT_DOCKER_URL", _ENGINE), is_needed=is_docker)
    data = Path(environ.get("ISTHMUS_AGENT_DATA_DIR") or folder / STATE_FOLDER).absolute()
    yield from machine.folder(data, name="data folder")
    yield from machine.disk(data)


def run(*, python: str, is_json: bool) -> int:
    """Examine, print, and return the exit code."""
    # What libraries have to say of a fault is among what is found.
    logging.disable()
    return asyncio.run(_run(python=python, is_json=is_json))


async def _run(*, python: str, is_json: bool) -> int:
    found = []
    paint = Paint.of()
    async for finding in examine(os.environ, folder=Path.cwd(), python=python):
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
    marks = {Level.OK: paint.green("✓"), Level.WARN: paint.yellow("!"), Level.FAIL: paint.red("✗")}
    first = f"{marks[finding.level]} {finding.name:14}{finding.text}"
    return [first, *(f"  {'':14}→ {line}" for line in finding.remedy.splitlines())]


def main() -> None:
    """Run as `python -m isthmus_dev.doctor.command PYTHON json|table`, by the command line only."""
    sys.exit(run(python=sys.argv[1], is_json=sys.argv[2] == "json"))


if __name__ == "__main__":
    main()
