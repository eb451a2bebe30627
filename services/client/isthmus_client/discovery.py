"""Finds the control plane's address when nobody names it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

#: The folder in which `isthmus dev` keeps its state, and the file in it that tells where it listens.
STATE_FOLDER = ".isthmus"
SERVER_FILE = "server.json"
DEFAULT_ADDRESS = "127.0.0.1:7070"


def find_server(
    named: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> str:
    """Choose the address: what was named, ISTHMUS_SERVER, a running `isthmus dev` here or in a parent folder, the default."""
    if named := named or environ.get("ISTHMUS_SERVER"):
        return named
    here = (folder or Path.cwd()).absolute()
    for candidate in (here, *here.parents):
        address = _address_of_dev(candidate / STATE_FOLDER / SERVER_FILE)
        if address:
            return address
    return DEFAULT_ADDRESS


def _address_of_dev(path: Path) -> str | None:
    """Read the address that a living `isthmus dev` wrote; a file that a killed one left says nothing."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        address, pid = str(facts["address"]), int(facts["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return address if _is_alive(pid) else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:  # It lives, under another user.
        return True
    except (OSError, OverflowError):
        return False
    return True
