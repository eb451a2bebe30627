"""What `make dist` builds is all that a machine needs beside third parties' packages."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).resolve().parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
UV = (ROOT / "scripts/with-index", ROOT / ".venv-uv/bin/uv")


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([ROOT / "scripts" / "dist", folder], check=True)
    return folder


def install(folder: Path, *requirements: str, dist: Path) -> Path:
    """Make an environment of nothing but wheels from a folder, and third parties' packages of the locked versions."""
    subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    options: list[str | Path] = ["--find-links", dist, "--constraint", ROOT / "requirements.lock", "--quiet"]
    subprocess.run([*UV, "pip", "install", *options, "--python", folder / "bin" / "python", *requirements], check=True)
    return folder / "bin"


def test_isthmus_installs_into_an_empty_environment_and_runs_the_example(dist: Path, tmp_path: Path) -> None:
    programs = install(tmp_path / "venv", f"isthmus=={VERSION}", "duckdb", dist=dist)
    place = "import isthmus_dev, isthmus_code_server, isthmus; print(isthmus_dev.__file__, isthmus.__file__)"
    told = subprocess.run([programs / "python", "-P", "-c", place], check=True, capture_output=True, text=True).stdout
    assert str(ROOT) not in told
    demo = subprocess.run(
        [programs / "python", ROOT / "scripts" / "demo"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (demo.returncode, "The runs succeeded" in demo.stdout) == (0, True), demo.stdout + demo.stderr


def test_a_projects_environment_needs_the_code_server_alone(dist: Path, tmp_path: Path) -> None:
    programs = install(tmp_path / "venv", f"isthmus-code-server=={VERSION}", "duckdb", dist=dist)
    check: list[str | Path] = [
        programs / "isthmus-code-server",
        "check",
        "-m",
        "bike_share.definitions",
        "-d",
        ROOT / "examples/bike_share",
    ]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    names = subprocess.run(
        [*UV, "pip", "list", "--python", programs / "python"], check=True, capture_output=True, text=True
    ).stdout
    assert {line.split()[0] for line in names.splitlines() if line.startswith("isthmus")} == {
        "isthmus-broker",
        "isthmus-code-server",
        "isthmus-lifecycle",
        "isthmus-protos",
        "isthmus-spool",
    }
