"""Commands without a group: `isthmus dev` and `isthmus version`."""

import os
import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from isthmus_cli.options import OutputFormat


@dataclass(frozen=True)
class _Part:
    """A distribution that people ask the version of."""

    name: str
    version: str


def dev(context: typer.Context) -> None:
    """Run everything on this machine: broker, control plane, monitor, and an agent with your definitions.

    Options are those of `isthmus dev --help`.
    """
    from importlib.util import find_spec

    from isthmus_cli.errors import InputError

    if find_spec("isthmus_dev") is None:
        raise InputError("isthmus dev is not installed here.", remedy="Install the distribution isthmus-dev.")
    sys.stdout.flush()
    # The same process goes on as the all-in-one: signals and exit code need no relay.
    os.execv(sys.executable, [sys.executable, "-m", "isthmus_dev", *context.args])  # noqa: S606 - our own module


def version(
    *,
    output: Annotated[OutputFormat, typer.Option("-o", "--output", help="table or json.")] = OutputFormat.TABLE,
) -> None:
    """Tell the versions of what is installed here."""
    import json
    import platform

    parts = [
        *_parts(("isthmus-cli", "isthmus-client", "isthmus-protos", "isthmus-dev", "dagster", "grpcio", "protobuf"))
    ]
    versions = {part.name: part.version for part in parts} | {"python": platform.python_version()}
    if output is OutputFormat.JSON:
        sys.stdout.write(json.dumps(versions, indent=2) + "\n")
        return
    width = max(len(name) for name in versions)
    sys.stdout.write("".join(f"{name:{width}}  {number}\n" for name, number in versions.items()))


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
