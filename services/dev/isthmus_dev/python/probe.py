"""Asks an interpreter what it is and what it has."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from isthmus_dev.python.errors import UnfitPythonError

#: An interpreter on a slow disk that has never been started takes a few seconds.
_TIMEOUT_S = 60.0
#: Runs on every Python 3, however old, so that it can be told what is too old.
_SCRIPT = """
import json, sys, sysconfig
versions = {}
try:
    from importlib import metadata
except ImportError:
    metadata = None
for name in sys.argv[1:] if metadata else []:
    try:
        versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps({
    "version": ".".join(map(str, sys.version_info[:3])),
    "abi": sysconfig.get_config_var("SOABI") or "",
    "versions": versions,
}))
"""


@dataclass(frozen=True)
class PythonFacts:
    """What an interpreter says of itself."""

    version: str
    #: What compiled modules must be made for.
    abi: str
    #: The installed version of each distribution that was asked for and is there.
    versions: Mapping[str, str]


def probe(python: Path, *, names: Iterable[str]) -> PythonFacts:
    """Ask an interpreter for its version and those of some distributions.

    Raises:
        UnfitPythonError: It cannot be started, or answers with something else.
    """
    try:
        # In no folder of the user's, whose modules would be taken for Python's own.
        told = subprocess.run(
            [str(python), "-c", _SCRIPT, *names],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
        said = json.loads(told.stdout)
        return PythonFacts(version=said["version"], abi=said["abi"], versions=said["versions"])
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise UnfitPythonError(python, problem=f"cannot be asked: {' '.join(last) or error}") from error
    except (OSError, ValueError, KeyError, TypeError, subprocess.TimeoutExpired) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise UnfitPythonError(python, problem=f"is no Python that works: {problem}") from error
