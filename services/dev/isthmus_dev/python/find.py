"""Finds the Python that the user would activate for a project: said, active, the project's own, or else ours."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from isthmus_dev.python.errors import PythonNotFoundError

#: Where tools put the environment of a project, below its folder.
_ENVIRONMENTS = (".venv", "venv", ".pixi/envs/default", ".conda")
#: PDM writes here which interpreter a project has.
_PDM_FILE = ".pdm-python"
#: Poetry takes about a second to tell where it keeps a project's environment.
_POETRY_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Interpreter:
    """A Python, and who named it."""

    #: Never resolved: the link in an environment's folder is what makes it that environment's Python.
    path: Path
    origin: str

    @property
    def is_ours(self) -> bool:
        """Whether it is of the environment that this process runs in."""
        return self.path.parent.parent.resolve() == Path(sys.prefix).resolve()


def find_python(said: str, *, folder: Path, environment: Mapping[str, str] = os.environ) -> Interpreter:
    """Choose the Python of the project that a folder belongs to.

    Args:
        said: A path of an interpreter or of an environment's folder, a command or a version; empty for nothing.
        folder: The project's folder, or one below it.
        environment: Variables of the terminal.

    Raises:
        PythonNotFoundError: What was said, or is active, is not there.
    """
    if said:
        return Interpreter(_said(said, folder=folder), "--python")
    active = environment.get("VIRTUAL_ENV")
    # Who activated the environment of Isthmus wanted the command, and has not chosen for the project.
    if active and Path(active).resolve() != Path(sys.prefix).resolve():
        return Interpreter(_of_environment(Path(active), origin="VIRTUAL_ENV"), "VIRTUAL_ENV")
    conda = environment.get("CONDA_PREFIX")
    # Conda's base is active in every terminal of many machines, and is nobody's project.
    if conda and environment.get("CONDA_DEFAULT_ENV") != "base":
        return Interpreter(_of_environment(Path(conda), origin="CONDA_PREFIX"), "CONDA_PREFIX")
    own = Interpreter(Path(sys.executable), "Isthmus's own")
    return next(_of_project(folder), own)


def _said(text: str, *, folder: Path) -> Path:
    path = Path(os.path.normpath(folder / Path(text).expanduser()))
    if path.is_dir():
        return _of_environment(path, origin="--python")
    if path.is_file():
        return path
    for command in (text, f"python{text}"):
        if "/" not in command and (found := shutil.which(command)):
            return Path(found)
    raise PythonNotFoundError(text, origin="--python")


def _of_environment(folder: Path, *, origin: str) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        raise PythonNotFoundError(str(python), origin=origin)
    return python


def _of_project(folder: Path) -> Iterator[Interpreter]:
    """Yield the environments of a folder and of those above it, up to the repository's root: the nearest comes first."""
    for place in (folder, *folder.parents):
        for name in _ENVIRONMENTS:
            python = place / name / "bin" / "python"
            if python.exists():
                yield Interpreter(python, "the project's environment")
        if (of_pdm := _of_pdm(place)) is not None:
            yield Interpreter(of_pdm, "the project's environment, of PDM")
        if (place / "poetry.lock").is_file() and (of_poetry := _of_poetry(place)) is not None:
            yield Interpreter(of_poetry, "the project's environment, of Poetry")
        if (place / ".git").exists() or place == Path.home():
            return


def _of_pdm(folder: Path) -> Path | None:
    try:
        python = Path((folder / _PDM_FILE).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return None
    return python if python.is_file() else None


def _of_poetry(folder: Path) -> Path | None:
    poetry = shutil.which("poetry")
    if poetry is None:
        return None
    try:
        told = subprocess.run(
            [poetry, "env", "info", "--executable"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_POETRY_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    python = Path(told.stdout.strip())
    return python if told.returncode == 0 and python.is_file() else None
