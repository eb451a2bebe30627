"""Commands without a group: `isthmus dev`, `isthmus doctor`, `isthmus version` and `isthmus completion`."""

import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import click

from isthmus_cli.command import built
from isthmus_cli.options import Argument, Option, Options, OutputFormat


@dataclass(frozen=True)
class _Part:
    """A distribution that people ask the version of."""

    name: str
    version: str


def _dev() -> None:
    """Run everything on this machine: broker, control plane, monitor, and an agent with your definitions.

    Options are those of `isthmus dev --help`.
    """
    from importlib.util import find_spec

    from isthmus_cli.errors import InputError

    if find_spec("isthmus_dev") is None:
        raise InputError("isthmus dev is not installed here.", remedy="Install the distribution isthmus-dev.")
    sys.stdout.flush()
    arguments = click.get_current_context().args
    # The same process goes on as the all-in-one: signals and exit code need no relay.
    os.execv(sys.executable, [sys.executable, "-m", "isthmus_dev", *arguments])  # noqa: S606 - our own module


dev = click.Command(
    "dev",
    callback=_dev,
    help=_dev.__doc__,
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(Options):
    """`doctor`."""

    python: Annotated[
        str,
        Option(metavar="PATH", help="The Python of the project; else as `isthmus dev` finds it.", show_default=False),
    ] = ""
    data_dir: Annotated[
        str,
        Option(
            metavar="PATH", help="The data folder; else ISTHMUS_AGENT_DATA_DIR, or .isthmus here.", show_default=False
        ),
    ] = ""
    output: Annotated[OutputFormat, Option("-o --output", help="table or json.")] = OutputFormat.TABLE
    json: Annotated[bool, Option("--json", help="The same as -o json.")] = False


def _doctor(options: DoctorOptions) -> None:
    """Look for what keeps Isthmus from working on this machine, and name the line that mends it.

    What the environment names is examined, too, as a service or an agent would use it: ISTHMUS_BROKER_URL,
    ISTHMUS_DATABASE_URL, ISTHMUS_SERVER, ISTHMUS_AGENT_*. What cannot be looked at, as its part is not installed here, is said. The
    exit code is 1 when something does not work.
    """
    sys.stdout.flush()
    form = "json" if options.json or options.output is OutputFormat.JSON else "table"
    command = [sys.executable, "-m", "isthmus_doctor", form, options.python, options.data_dir]
    os.execv(sys.executable, command)  # noqa: S606 - our own module


doctor = built("doctor", _doctor, options=DoctorOptions)


@dataclass(frozen=True, kw_only=True)
class VersionOptions(Options):
    """`version`."""

    output: Annotated[OutputFormat, Option("-o --output", help="table or json.")] = OutputFormat.TABLE


def _version(options: VersionOptions) -> None:
    """Tell the versions of what is installed here."""
    import json
    import platform

    parts = [
        *_parts(("isthmus-cli", "isthmus-client", "isthmus-protos", "isthmus-dev", "dagster", "grpcio", "protobuf"))
    ]
    versions = {part.name: part.version for part in parts} | {"python": platform.python_version()}
    if options.output is OutputFormat.JSON:
        sys.stdout.write(json.dumps(versions, indent=2) + "\n")
        return
    width = max(len(name) for name in versions)
    sys.stdout.write("".join(f"{name:{width}}  {number}\n" for name, number in versions.items()))


version = built("version", _version, options=VersionOptions)


class Shell(StrEnum):
    """A shell that can complete words."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@dataclass(frozen=True, kw_only=True)
class CompletionOptions(Options):
    """`completion`."""

    shell: Annotated[Shell, Argument(metavar="bash|zsh|fish", help="Your shell.")]


def _completion(options: CompletionOptions) -> None:
    """Print a script that makes your shell complete commands, options, and the names of runs, jobs and locations."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(options.shell.value)
    root = click.get_current_context().find_root().command
    if found is not None:
        sys.stdout.write(found(root, {}, "isthmus", "_ISTHMUS_COMPLETE").source())


completion = built(
    "completion",
    _completion,
    options=CompletionOptions,
    examples=(
        "source <(isthmus completion bash)                # in ~/.bashrc",
        "source <(isthmus completion zsh)                 # in ~/.zshrc",
        "isthmus completion fish > ~/.config/fish/completions/isthmus.fish",
    ),
)


def _parts(names: tuple[str, ...]) -> list[_Part]:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    found = []
    for name in names:
        try:
            found.append(_Part(name=name, version=version_of(name)))
        except PackageNotFoundError:
            continue
    return found
