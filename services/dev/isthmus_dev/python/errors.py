"""Why the project's Python cannot be used."""

import sys
from pathlib import Path

from isthmus_dev.errors import DevError


class PythonNotFoundError(DevError):
    """There is no interpreter where one was named."""

    def __init__(self, python: str, *, origin: str) -> None:
        remedy = "Name an interpreter or the folder of an environment with --python."
        if origin == "VIRTUAL_ENV":
            remedy = "Activate another environment, or `deactivate`, or name a Python with --python."
        super().__init__(f"There is no Python {python}, which {origin} names.", remedy=remedy)


class UnfitPythonError(DevError):
    """The interpreter cannot load a project of Dagster."""

    def __init__(self, python: Path, *, problem: str, remedy: str = "") -> None:
        other = f"Or name another Python with --python, as --python {sys.executable}, which is Isthmus's own."
        super().__init__(f"{python} {problem}.", remedy=f"{remedy}\n{other}" if remedy else other)


class CodeServerMissingError(DevError):
    """The interpreter has no code server, and it cannot be brought."""

    def __init__(self, python: Path, *, problem: str, line: str) -> None:
        super().__init__(
            f"{python} has no isthmus-code-server, and it cannot be lent one: {problem}", remedy=f"Install it: {line}"
        )
