"""Executes a group's cases on both sides and compares what they told."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from conformance import isthmus_side
from conformance.case import Case, Group, as_json, run_id
from isthmus_code_server.definitions.instance_client import OPTIONAL_TIMEOUT_VARIABLE
from packaging.version import Version
from support.eventually import patiently
from support.system import Operator

#: What has the Dagster that both sides use.
PYTHON = os.environ.get("CONFORMANCE_PYTHON", sys.executable)
PROJECTS = Path(__file__).parent / "projects"
_TESTS = Path(__file__).parents[1]


@cache
def dagster_version() -> Version:
    """Return the version of the Dagster that is compared with."""
    code = "from importlib.metadata import version; print(version('dagster'))"
    return Version(subprocess.check_output([PYTHON, "-c", code], text=True))  # our own interpreter


Fact = dict[str, Any]
#: For each case, for each of its launches, what it told.
Told = Mapping[str, list[list[Fact]]]

#: Where an object lies, as its `repr` tells it.
_ADDRESS = re.compile(r"at 0x[0-9a-f]+")
#: How a run whose steps had processes tells of their errors: the number of each process, and a stack.
_PROCESS = re.compile(r"(?m)^In process [0-9]+: (.*)$")

#: How long Dagster may take for all cases of a group, seconds.
_DAGSTER_TIMEOUT_S = 170.0


@dataclass(frozen=True)
class Comparison:
    """What both sides told of a group's cases."""

    dagster: Told
    isthmus: Told

    def differences(self, case: Case) -> list[str]:
        """Return a line for every fact that only one side told, launch by launch."""
        lines: list[str] = []
        for index in range(len(case.launches)):
            theirs = Counter(map(_line, self.dagster[case.name][index]))
            ours = Counter(map(_line, self.isthmus[case.name][index]))
            lines += [f"launch {index}, only Dagster: {line}" for line in sorted((theirs - ours).elements())]
            lines += [f"launch {index}, only Isthmus: {line}" for line in sorted((ours - theirs).elements())]
        return lines


def is_there(case: Case) -> bool:
    """Tell whether the Dagster at hand has what the case is about."""
    return Version(case.since) <= dagster_version()


async def execute(group: Group, *, cases: Sequence[Case], operator: Operator, folder: Path) -> Comparison:
    """Execute cases of a group on both sides, each side in a home of its own, both at once."""
    launches = {case.name: as_json(group, case) for case in cases}
    theirs, ours = folder / "dagster", folder / "isthmus"
    async with asyncio.TaskGroup() as sides:
        dagster = sides.create_task(_execute_dagster(group, launches, home=theirs))
        isthmus = sides.create_task(
            isthmus_side.execute(operator, group, launches, folder=PROJECTS, env=_env(group, ours), python=PYTHON)
        )
    return Comparison(
        _masked(dagster.result(), group, cases, home=theirs), _masked(isthmus.result(), group, cases, home=ours)
    )


async def _execute_dagster(group: Group, launches: Mapping[str, Any], *, home: Path) -> Told:
    process = await asyncio.create_subprocess_exec(
        *(
            PYTHON,
            "-W",
            "ignore",
            "-m",
            "conformance.dagster_side",
            group.module,
            group.attribute,
            str(home),
            str(group.lanes),
        ),
        cwd=PROJECTS,
        env={**os.environ, **_env(group, home), "PYTHONPATH": f"{_TESTS}:{PROJECTS}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with patiently(_DAGSTER_TIMEOUT_S):
            output, errors = await process.communicate(json.dumps(launches).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()[-8000:]
    told: Told = json.loads(output.splitlines()[-1])  # above it is what the project printed
    return told


def _env(group: Group, home: Path) -> dict[str, str]:
    """Return what the project's own code finds in its environment."""
    scratch = home / "scratch"
    scratch.mkdir(parents=True)
    # Dagster keeps some keys in sets: their order is to be the same on both sides.
    own = {"DAGSTER_HOME": str(home), "CONFORMANCE_SCRATCH": str(scratch), "PYTHONHASHSEED": "0"}
    # On a busy machine a version may come later than steps wait for it, who can do without.
    return {**group.env, **own, OPTIONAL_TIMEOUT_VARIABLE: "10"}


def _masked(told: Told, group: Group, cases: Sequence[Case], *, home: Path) -> Told:
    """Put names in the place of what cannot be the same on both sides: folders, ids of runs, places in memory."""
    text = json.dumps(told, default=str).replace(str(home), "<home>")
    for case in cases:
        for index in range(len(case.launches)):
            text = text.replace(run_id(group, case, index), f"<run {index}>")
    text = _ADDRESS.sub("at <address>", text)
    masked: Told = _mapped(json.loads(text), _told_text)
    return masked


def _told_text(text: str) -> str:
    """Write a text so that both sides can have told it.

    Halves of surrogate pairs, which UTF-8 cannot hold, are written as Python writes what it cannot encode. Of the
    errors of steps' processes the first line stands, without the number of the process, in alphabetical order.
    """
    text = text.encode("utf-8", "backslashreplace").decode()
    head, _, _ = text.partition("\n")
    if head != "During multiprocess execution errors occurred in child processes:":
        return text
    return "\n".join([head, *sorted(_PROCESS.findall(text))])


def _mapped(value: Any, write: Callable[[str], str]) -> Any:
    """Write every text in a document anew."""
    match value:
        case str():
            return write(value)
        case list():
            return [_mapped(one, write) for one in value]
        case dict():
            return {write(key): _mapped(one, write) for key, one in value.items()}
    return value


def _line(fact: Fact) -> str:
    """Write a fact without what is empty: a field that nobody filled is no difference."""
    told = {key: value for key, value in fact.items() if value not in ("", [], {}, None)}
    return json.dumps(told, sort_keys=True, ensure_ascii=False)
