"""Every command with its options, as the command line itself has them."""

import os
import subprocess
import sys
from collections.abc import Iterator

import click
from isthmus_cli.main import app as isthmus

_WIDTH = 100


def commands_page() -> str:
    """Return the page."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield "# Commands\n\nEvery command with its options. [The command line](../cli.md) tells what they do, with examples.\n"
    yield _section("isthmus", _help(isthmus, "isthmus"))
    for path, command in _tree(isthmus, "isthmus"):
        # `isthmus dev` hands all its options on to a program of its own.
        yield _section(path, _help_of_module("isthmus_dev") if path == "isthmus dev" else _help(command, path))
    yield (
        "## isthmus-control-plane, isthmus-monitor, isthmus-agent\n\n"
        "They take no options: everything comes from the [environment](settings.md).\n"
    )
    for arguments in ("", "serve", "check"):
        text = _help_of_module("isthmus_code_server.main", *arguments.split())
        yield _section(f"isthmus-code-server {arguments}".strip(), text.replace("main.py", "isthmus-code-server"))


def _section(path: str, text: str) -> str:
    return f"{'#' * min(4, path.count(' ') + 2)} {path}\n\n```text\n{text.strip()}\n```\n"


def _help_of_module(module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments, "--help"]
    environment = {**os.environ, "COLUMNS": str(_WIDTH)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def _tree(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from _tree(command, f"{path} {name}")


def _help(command: click.Command, path: str) -> str:
    context = command.make_context(path, [], resilient_parsing=True, terminal_width=_WIDTH, max_content_width=_WIDTH)
    return command.get_help(context)
