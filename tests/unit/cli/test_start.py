"""What the command line imports decides how fast it starts."""

import subprocess
import sys

import pytest

#: Most cost as much time as the rest of a command's start together.
_SLOW = {
    "difflib",
    "random",
    "isthmus_cli.commands.run_launch",
    "pydantic",
    "rich",
    "typer",
    "yaml",
    "dotenv",
    "importlib.metadata",
    "isthmus_dev",
    "email.message",
}


def imported_by(script: str) -> set[str]:
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    return set(printed.split())


def test_a_command_that_asks_the_control_plane_imports_nothing_slow() -> None:
    modules = "isthmus_cli.main, isthmus_cli.commands.run_list, isthmus_cli.run_query, isthmus_client.client, isthmus_cli.view.run, sys"
    assert _SLOW.isdisjoint(imported_by(f"import {modules}; print(*sys.modules)"))


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["run", "launch", "--help"], ["--version"]])
def test_help_needs_neither_the_contract_nor_grpc(words: list[str]) -> None:
    script = (
        "import sys; from isthmus_cli.main import app\n"
        f"try: app.main({words!r}, standalone_mode=False)\n"
        "finally: print(*sys.modules)"
    )
    assert {"grpc", "google.protobuf"}.isdisjoint(imported_by(script))
