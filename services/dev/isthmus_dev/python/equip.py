"""Sees to it that each location's Python can serve it, before anything is started."""

import importlib.metadata
import platform
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from isthmus.v1.control_plane_pb2 import LocationSettings

from isthmus_dev.python.errors import UnfitPythonError
from isthmus_dev.python.find import Interpreter
from isthmus_dev.python.judge import Equipped, Lacking, Unfit, judge
from isthmus_dev.python.lend import install_line, lend
from isthmus_dev.python.package import CODE_SERVER, FRAMEWORK, Package, code_server_packages
from isthmus_dev.python.probe import PythonFacts, probe


@dataclass
class Equipment:
    """The interpreters of the locations."""

    #: Folders for the end of an interpreter's path, by the interpreter.
    lent: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: What a person is told of each.
    lines: list[str] = field(default_factory=list)


def equip(targets: Iterable[LocationSettings], *, chosen: Interpreter, folder: Path) -> Equipment:
    """Give each location that names no Python the chosen one, and lend the code server to those that lack it.

    Args:
        targets: The locations; what they name themselves stands.
        chosen: The project's Python.
        folder: Where links to what is lent are kept.

    Raises:
        UnfitPythonError, CodeServerMissingError: An interpreter cannot serve.
    """
    packages = code_server_packages()
    wanted: dict[str, Interpreter] = {}
    for target in targets:
        named = target.source.python_executable
        python = Interpreter(Path(named), f"{target.name}'s own") if named else chosen
        target.source.python_executable = "" if python.is_ours else str(python.path)
        wanted.setdefault(str(python.path), python)
    equipment = Equipment()
    for python in wanted.values():
        how = ""
        facts = _own_facts() if python.is_ours else probe(python.path, names=[*packages, FRAMEWORK])
        if not python.is_ours:
            lent, how = _equip(python.path, facts, packages=packages, folder=folder)
            if lent:
                equipment.lent[str(python.path)] = lent
        about = f"Python {facts.version}, Dagster {facts.versions[FRAMEWORK]}"
        equipment.lines.append(f"{python.path} ({python.origin}), {about}{how}")
    return equipment


def _own_facts() -> PythonFacts:
    version = importlib.metadata.version(FRAMEWORK)
    return PythonFacts(version=platform.python_version(), abi="", versions={FRAMEWORK: version})


def _equip(
    python: Path, facts: PythonFacts, *, packages: Mapping[str, Package], folder: Path
) -> tuple[tuple[str, ...], str]:
    """Return the folders that are lent, and what is said of it."""
    verdict = judge(facts, packages, abi=sysconfig.get_config_var("SOABI") or "")
    match verdict:
        case Equipped(version=version):
            return (), "" if version == packages[CODE_SERVER].version else f", code server {version}"
        case Lacking():
            return lend(python, verdict, abi=facts.abi, folder=folder), ", with our code server"
        case Unfit(problem=problem, wanted=wanted):
            remedy = f"Install it there: {install_line(python, *wanted)}" if wanted else ""
            raise UnfitPythonError(python, problem=problem, remedy=remedy)
        case _:
            assert_never(verdict)
