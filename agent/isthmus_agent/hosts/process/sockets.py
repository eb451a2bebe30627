"""The folder for the unix sockets of code servers: short, because the kernel allows 107 bytes, and private."""

import hashlib
import os
import stat
from pathlib import Path

from isthmus_agent.errors import RuntimeFolderError

#: Longest path of a unix socket on Linux, bytes.
MAX_SOCKET_PATH = 107
_NAME_CHARS = 16


def default_runtime_dir(data_dir: Path) -> Path:
    """Return a short folder that belongs to this data folder alone."""
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:8]
    root = os.environ.get("XDG_RUNTIME_DIR")
    if root:
        return Path(root) / f"isthmus-{digest}"
    return Path("/tmp") / f"isthmus-{os.getuid()}-{digest}"  # noqa: S108 (checked for its owner and mode below)


def prepare_runtime_dir(folder: Path) -> None:
    """Make the folder, for this user alone.

    Raises:
        RuntimeFolderError: it is too long for sockets, or belongs to someone else, who could then listen in our place.
    """
    if len(os.fsencode(folder / f"{'x' * _NAME_CHARS}.sock")) > MAX_SOCKET_PATH:
        raise RuntimeFolderError(path=str(folder), problem="the path is too long for a unix socket")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise RuntimeFolderError(path=str(folder), problem=error.strerror or str(error)) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise RuntimeFolderError(path=str(folder), problem="it is not a folder of this user")
    folder.chmod(0o700)


def socket_path(folder: Path, *, server: str) -> Path:
    """Return where a server listens; server names are too long to be in the path themselves."""
    return folder / f"{hashlib.sha256(server.encode()).hexdigest()[:_NAME_CHARS]}.sock"
