"""What the agent's owner allows, whatever the control plane asks for."""

import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from posixpath import normpath

from pydantic import ValidationError

from isthmus_agent.desired.container import Limits
from isthmus_agent.desired.location import Isolation, LocationSpec
from isthmus_agent.desired.source import CodeSource, TargetKind
from isthmus_agent.errors import PolicyFileError
from isthmus_agent.policy.containers import ContainerPolicy, judge_container, judge_limits
from isthmus_agent.policy.verdict import Allowed, Refused, Verdict, first_refusal

#: Variables that name folders or files with code, and what divides several of them.
_CODE_VARIABLES = frozenset(
    {"PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONSTARTUP", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"}
)
_DIVIDERS = re.compile(r"[:; ]")


class Policy(ContainerPolicy):
    """Allow-lists of the agent's owner. An empty list allows nothing; one that is left out allows what is harmless."""

    #: Interpreters that may be started, by full path. The agent's own is always allowed.
    python_executables: tuple[Path, ...] | None = None
    #: Folders that code and variables may be read from, each with all that lies below. The agent's own is always allowed.
    working_directories: tuple[Path, ...] | None = None
    #: Names of the agent's environment variables that user code in processes gets beside the usual ones.
    passed_env: tuple[str, ...] = ()
    #: Names of environment variables that a location may set, with shell wildcards.
    env_names: tuple[str, ...] | None = None
    #: Where runs may execute: "shared", "dedicated". Both when left out.
    isolation: tuple[Isolation, ...] | None = None


def judge(spec: LocationSpec, *, policy: Policy) -> Verdict:
    """Say whether a location may be served here."""
    return first_refusal(
        [
            _judge_python(spec.source, allowed=policy.python_executables),
            _judge_folders(spec, allowed=policy.working_directories),
            _judge_env(spec.env, allowed=policy.env_names),
            _judge_isolation(spec.isolation, allowed=policy.isolation),
            judge_container(spec.container, policy=policy),
        ]
    )


def judge_run(policy: Policy, *, limits: Limits, isolation: Isolation) -> Verdict:
    """Say whether a run may execute where it wants to, and may use as much as it asks for; 0 asks for nothing."""
    return first_refusal(
        [
            _judge_isolation(isolation, allowed=policy.isolation),
            judge_limits(limits, policy=policy),
        ]
    )


def load_policy(path: Path | None) -> Policy:
    """Read the owner's TOML file; no file is the same as an empty one.

    Raises:
        PolicyFileError: the file cannot be read, or says something that no rule knows.
    """
    if path is None:
        return Policy()
    try:
        return Policy.model_validate(tomllib.loads(path.read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        rule = ".".join(str(part) for part in first["loc"])
        raise PolicyFileError(path=str(path), problem=f"{rule}: {first['msg']}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyFileError(path=str(path), problem=str(error)) from error


def _judge_python(source: CodeSource, *, allowed: tuple[Path, ...] | None) -> Verdict:
    wanted = source.python_executable
    if allowed is None or not wanted or normpath(wanted) in {normpath(path) for path in allowed}:
        return Allowed()
    return Refused("python_executables", f"the interpreter {wanted} is not in the list")


def _judge_folders(spec: LocationSpec, *, allowed: tuple[Path, ...] | None) -> Verdict:
    if allowed is None:
        return Allowed()
    source = spec.source
    for place in (*_places(source), *_places_in(spec.env)):
        if not _is_below(place, allowed=allowed, is_own=not (source.working_directory or source.current_directory)):
            return Refused("working_directories", f"{place} is not below any folder of the list")
    return Allowed()


def _places(source: CodeSource) -> list[str]:
    """Return every place that a source is read from. What is relative may climb out of the folder that it is relative to."""
    # As the code server enters them: the current directory first, and then the working directory.
    current = source.current_directory or source.working_directory
    working = normpath(PurePath(current) / source.working_directory) if source.working_directory else current
    places = [place for place in (current, working) if place]
    if source.target_kind is TargetKind.PYTHON_FILE:
        places.append(normpath(PurePath(working or ".") / source.target))
    places.extend(normpath(PurePath(current or ".") / file) for file in source.env_files)
    return places


def _places_in(env: tuple[tuple[str, str], ...]) -> list[str]:
    """Return the places that variables name from which the interpreter and the loader take code."""
    values = (value for name, value in env if name in _CODE_VARIABLES)
    return [part for value in values for part in _DIVIDERS.split(value) if part]


def _is_below(path: str, *, allowed: tuple[Path, ...], is_own: bool) -> bool:
    pure = PurePath(normpath(path))
    if is_own and not pure.is_absolute():
        return ".." not in pure.parts
    return any(pure.is_relative_to(normpath(folder)) for folder in allowed)


def _judge_env(env: tuple[tuple[str, str], ...], *, allowed: tuple[str, ...] | None) -> Verdict:
    if allowed is None:
        return Allowed()
    for name, _ in env:
        if not any(fnmatchcase(name, pattern) for pattern in allowed):
            return Refused("env_names", f"the variable {name} matches nothing in the list")
    return Allowed()


def _judge_isolation(isolation: Isolation | None, *, allowed: tuple[Isolation, ...] | None) -> Verdict:
    if allowed is None or isolation is None or isolation in allowed:
        return Allowed()
    return Refused("isolation", f"runs that are {isolation.value} are not in the list")
