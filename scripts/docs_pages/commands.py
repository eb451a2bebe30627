"""Every command with its options, as the command line itself has them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import typer.main
from isthmus_cli.main import app as isthmus
from isthmus_dev.main import app as isthmus_dev

_WIDTH = 100


def commands_page() -> str:
    """Return the page."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield "# Commands\n\nEvery command with its options. [The command line](../cli.md) tells what they do, with examples.\n"
    root: Any = typer.main.get_command(isthmus)
    dev: Any = typer.main.get_command(isthmus_dev)
    yield _help(root, "isthmus")
    for path, command in _tree(root, "isthmus"):
        # `isthmus dev` hands all its options on to a program of its own.
        yield _help(dev if path == "isthmus dev" else command, path)
    yield (
        "## isthmus-control-plane, isthmus-monitor, isthmus-agent\n\n"
        "They take no options: everything comes from the [environment](settings.md).\n"
    )
    for arguments in ((), ("serve",), ("check",)):
        path = " ".join(("isthmus-code-server", *arguments))
        yield f"## {path}\n\n```text\n{_help_of_code_server(*arguments)}```\n"


def _help_of_code_server(*arguments: str) -> str:
    command = [sys.executable, "-m", "isthmus_code_server.main", *arguments, "--help"]
    environment = {**os.environ, "COLUMNS": str(_WIDTH)}
    text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return text.replace("main.py", "isthmus-code-server")


def _tree(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        yield f"{path} {name}", command
        if hasattr(command, "commands"):
            yield from _tree(command, f"{path} {name}")


def _help(command: Any, path: str) -> str:
    """Return the section of a command: its help, as people see it."""
    context = command.make_context(path, [], resilient_parsing=True, terminal_width=_WIDTH, max_content_width=_WIDTH)
    return f"{'#' * min(4, path.count(' ') + 1)}# {path}\n\n```text\n{command.get_help(context)}\n```\n"
