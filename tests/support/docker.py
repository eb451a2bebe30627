"""The Docker engine that tests use: images by the project's own script, and containers that are gone afterwards."""

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def built_image(part: str) -> str:
    """Build one of the project's images, unless it is there already, and return its name."""
    done = subprocess.run([sys.executable, _ROOT / "scripts/images", part], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"scripts/images {part} failed:\n{done.stdout}\n{done.stderr}"
    prefix = os.environ.get("ISTHMUS_IMAGE_PREFIX") or "isthmus"
    return f"{prefix}/{part}:{os.environ.get('ISTHMUS_IMAGE_TAG') or 'latest'}"


def docker(*arguments: str) -> str:
    """Run a command of the engine's own client and return what it says."""
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"docker {' '.join(arguments)} failed:\n{done.stderr}"
    return done.stdout.strip()


def remove_image(name: str) -> None:
    """Remove an image, if it is there."""
    if docker("images", "--quiet", name):
        docker("rmi", "--force", name)


def container_ids(*, label: str, is_running: bool = False) -> list[str]:
    """The ids of all containers that carry a label, or of those that run."""
    scope = () if is_running else ("--all",)
    return docker("ps", *scope, "--quiet", "--no-trunc", "--filter", f"label={label}").split()


def remove_containers(*, label: str) -> None:
    """Remove all containers that carry a label."""
    if ids := container_ids(label=label):
        docker("rm", "--force", "--volumes", *ids)


def host_pids(container: str) -> dict[int, int]:
    """The processes of a container: its own number for each, and the engine's machine's."""
    lines = docker("top", container, "-o", "pid").splitlines()[1:]
    return {_inner_pid(int(line)): int(line) for line in lines}


def _inner_pid(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1])
