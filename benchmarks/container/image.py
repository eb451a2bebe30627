"""The image that both systems start runs from: the project, the code server, and what Dagster's own runs need."""

import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from support.docker import built_image, docker

from benchmarks.stand import PROJECT

IMAGE = "isthmus/bench:latest"
_ROOT = Path(__file__).resolve().parents[2]
#: Dagster as the peer on this machine has it, as both sides must agree, and where its runs store their events.
_PACKAGES = ("dagster", "dagster-pipes", "dagster-shared", "dagster-postgres", "psycopg2-binary", "sqlalchemy")
_RECIPE = """\
ARG BASE
FROM $BASE
COPY wheels /tmp/wheels
RUN pip install --quiet --no-cache-dir --no-index --no-deps /tmp/wheels/*.whl
COPY project /project
"""


def build() -> str:
    """Build the image on the project's own base; returns its name."""
    base = built_image("code-server")
    with TemporaryDirectory(prefix="isthmus-bench-image-") as name:
        context = Path(name)
        shutil.copytree(PROJECT, context / "project", ignore=shutil.ignore_patterns("__pycache__"))
        (context / "Dockerfile").write_text(_RECIPE)
        _download(context / "wheels", python=_python_of(base))
        docker("build", "--quiet", "--tag", IMAGE, "--build-arg", f"BASE={base}", name)
    return IMAGE


def _python_of(image: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return docker("run", "--rm", "--network", "none", image, "python", "-c", code)


def _download(folder: Path, *, python: str) -> None:
    """Fetch wheels for the image's Python: builds reach no network."""
    lock = (_ROOT / "benchmarks/peer.lock").read_text()
    pins = [found[0] for name in _PACKAGES if (found := re.search(rf"(?m)^{name}==[^ ;]+", lock))]
    command = [
        str(_ROOT / "scripts/with-index"),
        str(_ROOT / ".venv-uv/bin/pip"),
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
    ]
    subprocess.run([*command, "--python-version", python, "--dest", str(folder), *pins], check=True)
