"""What a conformance case is: a launch, or several in a row, of a job in one of the projects beside this file."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

_NAMESPACE = uuid.UUID("6c0a2c7a-5b60-4d54-9f5d-6f0f6f3c0b51")


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One run of a job. Both sides give it the same id, so that what is derived from ids is equal."""

    job: str
    config: Mapping[str, Any] | None = None
    ops: tuple[str, ...] = ()
    #: Asset keys, their parts joined by "/".
    assets: tuple[str, ...] = ()
    #: Pairs of an asset key and a check's name.
    checks: tuple[tuple[str, str], ...] = ()
    partition: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    #: The launch of the same case that this one executes again, by its place from 0.
    parent: int | None = None
    #: The steps to execute again.
    steps: tuple[str, ...] = ()
    #: Whether each side is to find out for itself which steps these are, from the parent's failure.
    is_from_failure: bool = False


@dataclass(frozen=True, kw_only=True)
class Case:
    """Launches whose histories are compared."""

    name: str
    launches: tuple[Launch, ...]
    #: The first Dagster that has what the case is about.
    since: str = "1.10"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Cases on one project, which each side loads once."""

    name: str
    #: A module in the folder `projects`.
    module: str
    cases: tuple[Case, ...]
    attribute: str = "defs"
    #: What the processes of both sides have in their environment besides.
    env: Mapping[str, str] = field(default_factory=dict)
    #: How many cases Dagster may execute at a time: more than one where none builds on what another left.
    lanes: int = 1


def one(name: str, job: str, *, since: str = "1.10", **launch: Any) -> Case:
    """Return a case of a single launch."""
    return Case(name=name, launches=(Launch(job=job, **launch),), since=since)


def several(name: str, *launches: Launch, since: str = "1.10") -> Case:
    """Return a case of launches in a row."""
    return Case(name=name, launches=launches, since=since)


def slug(group: Group) -> str:
    """Return a group's name as that of a location."""
    return group.name.replace(" ", "-")


def run_id(group: Group, case: Case, index: int) -> str:
    """Return the id of a case's launch."""
    return str(uuid.uuid5(_NAMESPACE, f"{group.name}/{case.name}/{index}"))


def as_json(group: Group, case: Case) -> list[dict[str, Any]]:
    """Write a case's launches for another process."""
    return [{**asdict(launch), "run_id": run_id(group, case, index)} for index, launch in enumerate(case.launches)]
