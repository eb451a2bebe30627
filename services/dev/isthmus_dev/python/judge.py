"""Decides what an interpreter needs to serve a project: a pure function of what it has and what we have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from isthmus_dev.python.package import CODE_SERVER, FRAMEWORK, OWN_FOLDERS, Package, framework_requirement
from isthmus_dev.python.probe import PythonFacts

#: The oldest Python that our parts run on.
OLDEST_PYTHON = Version("3.11")


@dataclass(frozen=True)
class Equipped:
    """It has a code server of its own."""

    version: str


@dataclass(frozen=True)
class Lacking:
    """It can be lent the code server, and needs these packages for it, which it does not have itself."""

    #: Usable as they lie beside us.
    lent: tuple[Package, ...]
    #: To be had for this interpreter: compiled for another one where we have them. As `name==version` or looser.
    fetched: tuple[str, ...]


@dataclass(frozen=True)
class Unfit:
    """It cannot serve as it is."""

    problem: str
    #: What has to be installed there; empty where that does not help.
    wanted: tuple[str, ...] = ()


Verdict: TypeAlias = Equipped | Lacking | Unfit


def judge(python: PythonFacts, packages: Mapping[str, Package], *, abi: str) -> Verdict:
    """Decide how an interpreter comes to a code server.

    Args:
        python: What the interpreter has.
        packages: The code server and what it needs, as we have them.
        abi: What our compiled packages are made for.
    """
    if Version(python.version) < OLDEST_PYTHON:
        return Unfit(f"is Python {python.version}, and the code server needs {OLDEST_PYTHON} or newer")
    framework = framework_requirement(packages)
    has = python.versions.get(FRAMEWORK)
    if has is None:
        return Unfit("has no dagster", wanted=(FRAMEWORK,))
    if not framework.specifier.contains(has, prereleases=True):
        return Unfit(f"has dagster {has}, and Isthmus works with {framework.specifier}", wanted=(str(framework),))
    if CODE_SERVER in python.versions:
        return Equipped(python.versions[CODE_SERVER])
    return _Search(python, packages, abi=abi).run()


class _Search:
    """Walks from the code server over what it needs, as far as the interpreter does not have it."""

    def __init__(self, python: PythonFacts, packages: Mapping[str, Package], *, abi: str) -> None:
        self._python = python
        self._packages = packages
        self._abi = abi
        self._lent: dict[str, Package] = {}
        self._fetched: dict[str, str] = {}
        self._wrong: dict[str, Requirement] = {}

    def run(self) -> Lacking | Unfit:
        self._take(CODE_SERVER)
        if self._wrong:
            problem = " and ".join(
                f"has {found}, and the code server needs {needed}" for found, needed in self._wrong.items()
            )
            return Unfit(problem, wanted=tuple(map(str, self._wrong.values())))
        return Lacking(tuple(self._lent.values()), tuple(sorted(self._fetched.values())))

    def _take(self, name: str) -> None:
        package = self._packages[name]
        if package.is_portable or self._python.abi == self._abi:
            self._lent[name] = package
        else:
            self._fetched[name] = f"{name}=={package.version}"
        for needed in package.requires:
            self._need(needed)

    def _need(self, needed: Requirement) -> None:
        name = canonicalize_name(needed.name)
        is_met = name in self._lent or name in self._fetched or name == FRAMEWORK
        if is_met or not self._is_meant(needed):
            return
        has = self._python.versions.get(name)
        if has is None and name in self._packages:
            self._take(name)
        elif has is None:
            self._fetched[name] = f"{name}{needed.specifier}"
        elif name in OWN_FOLDERS and has != self._packages[name].version:
            self._wrong.setdefault(f"{name} {has}", Requirement(f"{name}=={self._packages[name].version}"))
        elif not needed.specifier.contains(has, prereleases=True):
            self._wrong.setdefault(f"{name} {has}", Requirement(f"{name}{needed.specifier}"))

    def _is_meant(self, needed: Requirement) -> bool:
        version = self._python.version
        short = ".".join(version.split(".")[:2])
        return needed.marker is None or needed.marker.evaluate(
            {"python_version": short, "python_full_version": version}
        )
