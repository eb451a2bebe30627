"""What the agent's owner allows, whatever the control plane asks for."""

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


class Policy(ContainerPolicy):
    """Allow-lists of the agent's owner. An empty list allows nothing; one that is left out allows what is harmless."""

    #: Interpreters that may be started, by full path. The agent's own is always allowed.
    python_executables: tuple[Path, ...] | None = None
    #: Folders that code may be loaded from, each with all that lies below. The agent's own is always allowed.
    working_directories: tuple[Path, ...] | None = None
    #: Names of environment variables that a location may set, with shell wildcards.
    env_names: tuple[str, ...] | None = None
    #: Where runs may execute: "shared", "dedicated". Both when left out.
    isolation: tuple[Isolation, ...] | None = None


def judge(spec: LocationSpec, *, policy: Policy) -> Verdict:
    """Say whether a location may be served here."""
    return first_refusal(
        [
            _judge_python(spec.source, allowed=policy.python_executables),
            _judge_folders(spec.source, allowed=policy.working_directories),
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


def _judge_folders(source: CodeSource, *, allowed: tuple[Path, ...] | None) -> Verdict:
    if allowed is None:
        return Allowed()
    wanted = [source.working_directory] if source.working_directory else []
    if source.target_kind is TargetKind.PYTHON_FILE:
        # A relative file lies below the working directory only if it does not climb out of it.
        wanted.append(normpath(PurePath(source.working_directory or ".") / source.target))
    for folder in wanted:
        if not _is_below(folder, allowed=allowed, is_own=not source.working_directory):
            return Refused("working_directories", f"{folder} is not below any folder of the list")
    return Allowed()


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
