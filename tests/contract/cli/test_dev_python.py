"""`isthmus dev` on the Python of a project, in which nothing of Isthmus is installed."""

import os
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest
from contract.cli.dev_kit import DEFINITIONS, isthmus, running_dev
from isthmus_dev.python.errors import CodeServerMissingError
from isthmus_dev.python.judge import Lacking
from isthmus_dev.python.lend import lend

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).resolve().parents[3]
UV = ROOT / ".venv-uv" / "bin"
WITH_INDEX = ROOT / "scripts" / "with-index"
OLDEST = ROOT / "tests" / "dagster-oldest.lock"
OLDEST_DAGSTER = "1.10.0"
ABI = sysconfig.get_config_var("SOABI")


def uv(*words: str) -> None:
    subprocess.run([WITH_INDEX, UV / "uv", *words], check=True, capture_output=True)


def installed_in(python: Path) -> set[str]:
    script = "from importlib.metadata import distributions; print(*(one.name for one in distributions()))"
    return set(subprocess.run([python, "-c", script], check=True, capture_output=True, text=True).stdout.split())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose environment has the oldest Dagster, and nothing that a project would not have."""
    folder = tmp_path / "greetings"
    folder.mkdir()
    telling = "import sys; print(sys.executable, dg.__version__)"
    (folder / "definitions.py").write_text(DEFINITIONS.replace('print("hello from the run")', telling))
    python = folder / ".venv" / "bin" / "python"
    uv("venv", "--python", sys.executable, str(folder / ".venv"))
    uv("pip", "install", "--python", str(python), f"dagster=={OLDEST_DAGSTER}", "--constraint", str(OLDEST))
    return folder


async def test_a_project_runs_on_its_own_python_and_dagster_and_nothing_is_installed_there(project: Path) -> None:
    python = project / ".venv" / "bin" / "python"
    before = installed_in(python)
    async with running_dev(project) as dev:
        screen = await dev.read_until("Ctrl-C stops everything")
        assert f"{python} (the project's environment)" in screen
        assert f"Dagster {OLDEST_DAGSTER}, with our code server" in screen

        code, out, err = await isthmus(project, "run", "launch", "greeting", "--watch")
        assert (code, "SUCCEEDED" in out) == (0, True), out + err
        assert f"{python} {OLDEST_DAGSTER}" in (await isthmus(project, "run", "logs", err.split()[1]))[1]
        assert await dev.end() == 0
    assert installed_in(python) == before


async def test_an_environment_without_dagster_ends_the_start_with_the_line_that_mends_it(tmp_path: Path) -> None:
    uv("venv", "--python", sys.executable, str(tmp_path / ".venv"))
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    code, _, err = await isthmus(tmp_path, "dev", "-f", "definitions.py")
    assert (code, "has no dagster" in err, "install" in err) == (1, True, True), err


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_what_is_compiled_for_another_python_is_fetched_once_for_all_projects(
    installer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = os.environ["PATH"] if installer == "uv" else "/usr/bin:/bin"
    monkeypatch.setenv("PATH", f"{UV}:{usual}" if installer == "uv" else usual)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    uv("venv", "--python", sys.executable, str(tmp_path / "venv"))
    python, lacking = tmp_path / "venv" / "bin" / "python", Lacking((), (f"zstandard=={version('zstandard')}",))

    folders = lend(python, lacking, abi=ABI, folder=tmp_path / "lent")
    script = f"import sys; sys.path += {list(folders)!r}; import zstandard; print(zstandard.__file__)"
    told = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True).stdout
    assert told.startswith(str(tmp_path / "cache"))

    monkeypatch.setenv("PATH", "/nowhere")
    assert lend(python, lacking, abi=ABI, folder=tmp_path / "lent") == folders


def test_what_cannot_be_had_is_told_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{UV}:{os.environ['PATH']}")
    with pytest.raises(CodeServerMissingError, match="isthmus-no-such-thing") as caught:
        lend(Path(sys.executable), Lacking((), ("isthmus-no-such-thing==1",)), abi=ABI, folder=tmp_path / "lent")
    assert f"uv pip install --python {sys.executable} isthmus-code-server" in caught.value.remedy
    assert [path for path in (tmp_path / "cache" / "isthmus").rglob("*") if path.is_file()] == []
