"""Makes the environments that projects run in: one for each different lock, once."""

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_ENVIRONMENTS = ROOT / ".venv-projects"
_UV = (ROOT / "scripts/with-index", ROOT / ".venv-uv/bin/uv")
#: What a project's Python needs to be served.
_MEMBERS = ("protos", "broker", "services/lifecycle", "services/spool", "services/code_server")
_INSTALL_TIMEOUT_S = 900


def python_of(project: Path) -> Path:
    """Return the Python of a project, with its packages; installs them if they are not there yet."""
    lock = project / "requirements.lock"
    if not lock.exists():
        return Path(sys.executable)
    key = hashlib.sha256(sys.version.encode() + lock.read_bytes()).hexdigest()[:16]
    folder = _ENVIRONMENTS / key
    _ENVIRONMENTS.mkdir(exist_ok=True)
    with (_ENVIRONMENTS / f"{key}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / ".ready").exists():
            _install(folder, lock=lock)
    return folder / "bin/python"


def _install(folder: Path, *, lock: Path) -> None:
    _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    python = ("--python", str(folder / "bin/python"))
    install = ("pip", "install", "--quiet", "--compile-bytecode", "--no-deps", *python)
    _uv(*install, "--require-hashes", "--requirement", str(lock))
    members = [word for member in _MEMBERS for word in ("--editable", str(ROOT / member))]
    _uv(*install, *members)
    (folder / ".ready").touch()


def _uv(*words: str) -> None:
    done = subprocess.run([*_UV, *words], capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
