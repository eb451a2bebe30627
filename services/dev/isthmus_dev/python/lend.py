"""Makes the folders that lend an interpreter the code server: links to what lies beside us, and what it alone needs."""

import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from isthmus_dev.python.errors import CodeServerMissingError
from isthmus_dev.python.judge import Lacking
from isthmus_dev.python.package import CODE_SERVER, Package

#: Packages are downloaded at the most; nothing is compiled that the index has a wheel for.
_INSTALL_TIMEOUT_S = 300.0
#: Pip's own wheel where a distribution keeps it instead of Python's.
_SYSTEM_WHEELS = Path("/usr/share/python-wheels")


def lend(python: Path, lacking: Lacking, *, abi: str, folder: Path) -> tuple[str, ...]:
    """Return the folders that go to the end of an interpreter's path.

    Nothing in them comes before what the interpreter has itself, and nothing of it is changed.

    Args:
        python: The interpreter.
        lacking: What it needs.
        abi: What compiled modules for it must be made for.
        folder: Where the links are kept, anew at each start.

    Raises:
        CodeServerMissingError: A package cannot be had.
    """
    links = folder / hashlib.sha256(os.fsencode(python)).hexdigest()[:16]
    _link(lacking.lent, folder=links)
    if not lacking.fetched:
        return (str(links),)
    return (str(links), str(_fetched(python, lacking.fetched, abi=abi)))


def install_line(python: Path, *wanted: str) -> str:
    """Return what a person types to install something for an interpreter."""
    requirements = " ".join(f"'{one}'" if set(one) & set("<>~! ;") else one for one in wanted)
    if shutil.which("uv"):
        return f"uv pip install --python {python} {requirements}"
    return f"{python} -m pip install {requirements}"


def _link(packages: Sequence[Package], *, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    wanted: Mapping[str, Path] = {name: path for package in packages for name, path in package.entries.items()}
    for link in folder.iterdir():
        if link.name not in wanted or not link.is_symlink() or link.readlink() != wanted[link.name]:
            link.unlink()
    for name, path in wanted.items():
        with suppress(FileExistsError):
            (folder / name).symlink_to(path)


def _fetched(python: Path, pins: Sequence[str], *, abi: str) -> Path:
    """Return a folder with packages for one kind of interpreter; it is made once, for all projects of this user."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isthmus" / "python"
    folder = root / f"{abi}-{hashlib.sha256(' '.join(pins).encode()).hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".new-") as scratch:
        made = Path(scratch) / "packages"
        _install(python, pins, folder=made)
        # Another isthmus dev may have made the same meanwhile.
        with suppress(OSError):
            made.rename(folder)
    return folder


def _install(python: Path, pins: Sequence[str], *, folder: Path) -> None:
    said = "there is neither uv nor pip on this machine."
    for command in _installers(python, folder=folder):
        try:
            done = subprocess.run(
                [*command, *pins],
                stdin=subprocess.DEVNULL,
                # uv, of whichever age, trusts what the system trusts, as pip does; what the user says otherwise stands.
                env={"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true", **os.environ},
                capture_output=True,
                text=True,
                timeout=_INSTALL_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
            continue
        if done.returncode == 0 and folder.is_dir():
            return
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-3:]) or said
    raise CodeServerMissingError(python, problem=said, line=install_line(python, CODE_SERVER))


def _installers(python: Path, *, folder: Path) -> Iterator[list[str]]:
    """Yield commands that install packages for an interpreter into a folder, with the user's own configuration."""
    options = ["install", "--quiet", "--no-deps", "--target", str(folder)]
    if uv := shutil.which("uv"):
        # What this machine has already is had without a look at any index.
        yield [uv, "pip", *options, "--python", str(python), "--offline"]
        yield [uv, "pip", *options, "--python", str(python)]
    pip_options = [*options, "--disable-pip-version-check"]
    yield [str(python), "-m", "pip", *pip_options]
    bundled = Path(sysconfig.get_path("stdlib")) / "ensurepip" / "_bundled"
    for wheel in (*bundled.glob("pip-*.whl"), *_SYSTEM_WHEELS.glob("pip-*.whl")):
        yield [str(python), f"{wheel}/pip", *pip_options]
